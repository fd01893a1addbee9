return args is ["cuda", .. var rest] ? Xlstm.Benchmarks.CudaBenchmark.Run(rest) : 0;
