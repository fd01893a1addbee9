using Xlstm.Checkpoints;

namespace Xlstm.Tests.Checkpoints;

/// <summary>Copies a safetensors file with other names or shapes.</summary>
internal static class CheckpointEditor
{
    /// <summary>Null from <paramref name="edit"/> leaves a tensor out; elements are copied as they are.</summary>
    public static void Rewrite(string source, string target, Func<SafetensorsTensorSpec, SafetensorsTensorSpec?> edit)
    {
        using var file = SafetensorsFile.Open(source);
        var kept = file.Tensors.Values
            .Select(tensor => (Tensor: tensor, Spec: edit(new SafetensorsTensorSpec(tensor.Name, SafetensorsDtype.ToElementType(tensor.Dtype)!.Value, tensor.Shape))))
            .Where(pair => pair.Spec is not null).ToArray();
        using var writer = SafetensorsWriter.Create(target, [.. kept.Select(pair => pair.Spec!)]);
        foreach ((SafetensorsTensor tensor, _) in kept)
        {
            byte[] bytes = new byte[tensor.ByteLength];
            file.Read(tensor, 0, bytes);
            writer.Write(bytes);
        }

        writer.Complete();
    }
}
