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
    case ["roles", .. string[] rest]:
        return RoleQuality.Run(rest);
    default:
        Console.Error.WriteLine("""
            usage: Xlstm.Benchmarks kernels [BenchmarkDotNet arguments]
                   Xlstm.Benchmarks sessions [--long] [--gpu]
                   Xlstm.Benchmarks roles [--tokens N] [--calibrate TEXT] TEXT...
                   Xlstm.Benchmarks cuda [--like SIZE | --model DIR] [--weights FORMAT] [--tokens N] [--prefill N,N] [--batches N,N] [--stages N,N] [--log]

              kernels    matrix products, cell, norms and tokenizer, one by one: --filter '*MatMul*', --disasm, --list flat
              sessions   snapshot, fork, restore, undo, save, load and the prefix cache; --long: memory over 100,000 tokens
              roles      what int4 and int8 cost the demo model on texts, one role of its matrices at a time
              cuda       a model with random weights on a GPU: copy, load, decode, prefill, batches
            """);
        return 2;
}
