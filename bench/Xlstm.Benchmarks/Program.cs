return args is ["sessions", .. var rest] ? Xlstm.Benchmarks.SessionBenchmark.Run(rest) : 0;
