using Xlstm.Benchmarks.Kernels;

// What is measured is the first argument; the rest is the measurement's own.
switch (args)
{
    case ["kernels", .. string[] rest]:
        return KernelBenchmarks.Run(rest);
    default:
        Console.Error.WriteLine("""
            usage: Xlstm.Benchmarks kernels [BenchmarkDotNet arguments]

              kernels    matrix products, cell, norms and tokenizer, one by one: --filter '*MatMul*', --disasm, --list flat
            """);
        return 2;
}
