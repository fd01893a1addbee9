using Xlstm.Benchmarks;
using Xlstm.Benchmarks.Kernels;

// What is measured is the first argument; the rest is the measurement's own.
switch (args)
{
    case ["kernels", .. string[] rest]:
        return KernelBenchmarks.Run(rest);
    case ["sessions", .. string[] rest]:
        return SessionBenchmark.Run(rest);
    default:
        Console.Error.WriteLine("""
            usage: Xlstm.Benchmarks kernels [BenchmarkDotNet arguments]
                   Xlstm.Benchmarks sessions [--long [TOKENS]]

              kernels    matrix products, cell, norms and tokenizer, one by one: --filter '*MatMul*', --disasm, --list flat
              sessions   snapshot, fork, restore, undo, save, load and the prefix cache; --long: memory over 100,000 tokens or TOKENS
            """);
        return 2;
}
