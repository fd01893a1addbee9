namespace Xlstm.Backends.Cuda.Interop;

/// <summary>A queue of a device's work, run in order.</summary>
internal sealed unsafe class CudaStream : CudaHandle
{
    private const uint NonBlocking = 1;
    private const int ThreadLocalCapture = 1;

    /// <param name="context">Whose; current on the calling thread.</param>
    public CudaStream(CudaContext context)
        : base(context)
    {
        CudaError.Check(CudaDriver.StreamCreate(out nint stream, NonBlocking), "making a stream");
        Own(stream);
    }

    /// <summary>Host to device. <paramref name="source"/> must stay as it is until the stream has come past.</summary>
    public void Upload(ulong destination, void* source, long bytes) =>
        CudaError.Check(CudaDriver.MemcpyHtoDAsync(destination, source, (nuint)bytes, Value), "copying to the GPU");

    /// <summary>Device to host.</summary>
    public void Download(void* destination, ulong source, long bytes) =>
        CudaError.Check(CudaDriver.MemcpyDtoHAsync(destination, source, (nuint)bytes, Value), "copying from the GPU");

    /// <summary>Device to device.</summary>
    public void Copy(ulong destination, ulong source, long bytes) =>
        CudaError.Check(CudaDriver.MemcpyDtoDAsync(destination, source, (nuint)bytes, Value), "copying on the GPU");

    /// <summary>Device to another device; <paramref name="own"/> is the stream's.</summary>
    public void CopyFromPeer(CudaContext own, ulong destination, CudaContext peer, ulong source, long bytes) =>
        CudaError.Check(CudaDriver.MemcpyPeerAsync(destination, own.DangerousGetHandle(), source, peer.DangerousGetHandle(), (nuint)bytes, Value), "copying between GPUs");

    /// <summary>What is queued from here on waits for a mark in another stream.</summary>
    public void Wait(CudaEvent mark) => CudaError.Check(CudaDriver.StreamWaitEvent(Value, mark.Value, 0), "waiting for another GPU");

    /// <summary>Sets every byte.</summary>
    public void Fill(ulong address, byte value, long bytes) =>
        CudaError.Check(CudaDriver.MemsetD8Async(address, value, (nuint)bytes, Value), "filling memory");

    /// <summary>Waits until everything queued has run.</summary>
    public void Synchronize() => CudaError.Check(CudaDriver.StreamSynchronize(Value), "running a kernel");

    /// <summary>Queues a kernel.</summary>
    /// <param name="kernel">The kernel, of one parameter.</param>
    /// <param name="gridX">Blocks of threads.</param>
    /// <param name="gridY">Times these.</param>
    /// <param name="threads">Threads a block.</param>
    /// <param name="sharedBytes">Dynamic shared memory of a block.</param>
    /// <param name="arguments">The parameter; laid out as the kernel's struct is.</param>
    /// <param name="gridZ">And times these.</param>
    /// <param name="cluster">Neighbours in x that run side by side and see each other's shared memory.</param>
    public void Launch<T>(CudaKernel kernel, int gridX, int gridY, int threads, int sharedBytes, in T arguments, int gridZ = 1, int cluster = 1)
        where T : unmanaged
    {
        LaunchAttribute* attributes = stackalloc LaunchAttribute[2];
        uint attributeCount = 0;
        if (kernel.StartsEarly)
        {
            attributes[attributeCount++] = new LaunchAttribute { Id = LaunchAttribute.ProgrammaticStreamSerialization, X = 1 };
        }

        if (cluster > 1)
        {
            attributes[attributeCount++] = new LaunchAttribute { Id = LaunchAttribute.ClusterDimension, X = cluster, Y = 1, Z = 1 };
        }

        LaunchConfig config = new()
        {
            GridX = (uint)gridX,
            GridY = (uint)gridY,
            GridZ = (uint)gridZ,
            BlockX = (uint)threads,
            BlockY = 1,
            BlockZ = 1,
            SharedBytes = (uint)sharedBytes,
            Stream = Value,
            Attributes = attributes,
            AttributeCount = attributeCount,
        };
        fixed (T* pointer = &arguments)
        {
            void* parameter = pointer;
            CudaError.Check(CudaDriver.LaunchKernel(&config, kernel.Function, &parameter, null), $"starting kernel {kernel.Name}");
        }
    }

    /// <summary>Records what <paramref name="work"/> queues instead of running it.</summary>
    public CudaGraph Capture(CudaContext context, Action work)
    {
        CudaError.Check(CudaDriver.StreamBeginCapture(Value, ThreadLocalCapture), "capturing a graph");
        nint graph;
        try
        {
            work();
        }
        catch
        {
            _ = CudaDriver.StreamEndCapture(Value, out graph);
            _ = CudaDriver.GraphDestroy(graph);
            throw;
        }

        CudaError.Check(CudaDriver.StreamEndCapture(Value, out graph), "capturing a graph");
        try
        {
            return new CudaGraph(context, graph);
        }
        finally
        {
            _ = CudaDriver.GraphDestroy(graph);
        }
    }

    /// <summary>Queues a graph.</summary>
    public void Launch(CudaGraph graph) => CudaError.Check(CudaDriver.GraphLaunch(graph.Value, Value), "starting a graph");

    /// <inheritdoc/>
    protected override int Free() => CudaDriver.StreamDestroy(handle);
}

/// <summary>Recorded work, started as one.</summary>
internal sealed class CudaGraph : CudaHandle
{
    /// <param name="context">Whose; current on the calling thread.</param>
    /// <param name="graph">What was captured; the caller destroys it.</param>
    public CudaGraph(CudaContext context, nint graph)
        : base(context)
    {
        CudaError.Check(CudaDriver.GraphInstantiate(out nint executable, graph, 0), "building a graph");
        Own(executable);
    }

    /// <inheritdoc/>
    protected override int Free() => CudaDriver.GraphExecDestroy(handle);
}

/// <summary>A mark in a stream.</summary>
internal sealed class CudaEvent : CudaHandle
{
    /// <param name="context">Whose; current on the calling thread.</param>
    public CudaEvent(CudaContext context)
        : base(context)
    {
        CudaError.Check(CudaDriver.EventCreate(out nint created, 0), "making an event");
        Own(created);
    }

    /// <summary>Marks where the stream is now.</summary>
    public void Record(CudaStream stream) => CudaError.Check(CudaDriver.EventRecord(Value, stream.Value), "recording an event");

    /// <summary>Waits until the stream has come past the mark.</summary>
    public void Synchronize() => CudaError.Check(CudaDriver.EventSynchronize(Value), "running a kernel");

    /// <summary>Milliseconds of the device between two marks that the stream has passed.</summary>
    public float MillisecondsSince(CudaEvent start)
    {
        CudaError.Check(CudaDriver.EventElapsedTime(out float milliseconds, start.Value, Value), "timing");
        return milliseconds;
    }

    /// <inheritdoc/>
    protected override int Free() => CudaDriver.EventDestroy(handle);
}
