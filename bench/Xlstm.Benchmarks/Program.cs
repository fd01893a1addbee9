using Xlstm.Benchmarks;
using Xlstm.Benchmarks.Kernels;

// What is measured is the first argument; the rest is the measurement's own.
switch (args)
{
    case ["kernels", .. string[] rest]:
        return KernelBenchmarks.Run(rest);
    case ["sessions", .. string[] rest]:
        return SessionBenchmark.Run(rest);
    case ["cuda", .. string[] rest]:
        return CudaBenchmark.Run(rest);
    case ["cuda-products", .. string[] rest]:
        return CudaProductsBenchmark.Run(rest);
    case ["cuda-cell", .. string[] rest]:
        return CudaCellBenchmark.Run(rest);
    case ["roles", .. string[] rest]:
        return RoleQuality.Run(rest);
    default:
        Console.Error.WriteLine("""
            usage: Xlstm.Benchmarks kernels [BenchmarkDotNet arguments]
                   Xlstm.Benchmarks sessions [--long] [--gpu]
                   Xlstm.Benchmarks roles [--tokens N] [--calibrate TEXT] TEXT...
                   Xlstm.Benchmarks cuda [--like SIZE | --model DIR] [--weights FORMAT] [--state FORMAT] [--tokens N] [--prefill N,N] [--batches N,N] [--stages N,N] [--log]
                   Xlstm.Benchmarks cuda-products [--like SIZE] [--rows N,N]
                   Xlstm.Benchmarks cuda-cell [--like SIZE] [--batches N,N]

              kernels    matrix products, cell, norms and tokenizer, one by one: --filter '*MatMul*', --disasm, --list flat
              sessions   snapshot, fork, restore, undo, save, load and the prefix cache; --long: memory over 100,000 tokens
              roles      what int4 and int8 cost the demo model on texts, one role of its matrices at a time
              cuda       a model with random weights on a GPU: copy, load, decode, prefill, batches
              cuda-products  what a batch's step is made of: each kind of product over few rows, and the cell
              cuda-cell  the cell's step alone, float32 and bfloat16 states
            """);
        return 2;
}
