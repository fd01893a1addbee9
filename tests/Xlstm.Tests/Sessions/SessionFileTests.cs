using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using CsCheck;
using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>Risk: a session file that is not what was saved is taken for it, or one that is fine is refused, or a bad one brings the process down.</summary>
public sealed class SessionFileTests(TinyModel tiny) : IClassFixture<TinyModel>, IDisposable
{
    private const int HeaderBytes = 120;

    private static readonly int[] Ids = Golden.Load(TinyModel.Name).InputIds;

    private readonly TemporaryFolder _folder = new();

    private string FilePath => Path.Combine(_folder.Path, "session.xlstm");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task ContinuesBitForBit()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        await session.GreedyAsync(5);
        await session.SaveAsync(FilePath);
        int[] expected = await session.GreedyAsync(20);
        using Session loaded = await Session.LoadAsync(tiny.Model, FilePath);
        Assert.Equal(1, loaded.Waiting);
        Assert.Equal(session.Tokens.Take(25), loaded.Tokens);
        Assert.Equal(expected, await loaded.GreedyAsync(20));
        SessionFileInfo info = SessionFile.ReadInfo(FilePath);
        Assert.Equal((tiny.Model.Fingerprint, WeightFormat.Float32, StateFormat.Float32, 24), (info.Fingerprint, info.Weights, info.StateFormat, info.Position));
        Assert.Equal(session.Tokens.Take(25), info.Tokens);
    }

    [Fact]
    public async Task AnEmptySessionAndOneThatOnlyQueuedAreSavedToo()
    {
        using Session session = tiny.Model.CreateSession();
        await session.SaveAsync(FilePath);
        using Session empty = await Session.LoadAsync(tiny.Model, FilePath);
        Assert.Empty(empty.Tokens);
        session.Queue(Ids.AsSpan(0, 20));
        await session.SaveAsync(FilePath);
        using Session queued = await Session.LoadAsync(tiny.Model, FilePath);
        Assert.Equal(20, queued.Waiting);
        tiny.AssertIsAt(Ids[..20], queued);
    }

    /// <summary>docs/session-file.md, byte by byte.</summary>
    [Fact]
    public async Task HasTheDocumentedBytes()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        session.Queue(Ids.AsSpan(20, 1));
        await session.SaveAsync(FilePath, note: "a né");
        byte[] file = await File.ReadAllBytesAsync(FilePath, TestContext.Current.CancellationToken);
        XlstmConfig c = tiny.Model.Config;
        Assert.Equal("xLSTMses"u8, file.AsSpan(0, 8));
        Assert.Equal([1, HeaderBytes], Ints(file, 8, 2));
        Assert.Equal(tiny.Model.Fingerprint, Convert.ToHexStringLower(file, 16, 32));
        Assert.Equal([c.NumBlocks, c.NumHeads, c.QkHeadDim, c.VHeadDim, c.VocabSize], Ints(file, 48, 5));
        Assert.Equal([0, 0, 0, 0], file[68..72]);
        Assert.Equal([21, 0, 20, 0, 1, 0, 5, 0, file.Length, 0], Ints(file, 72, 10));
        Assert.Equal(XxHash3.HashToUInt64(file.AsSpan(0, 112)), BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(112)));
        Assert.Equal(Ids[..21], Ints(file, 120, 21));
        Assert.Equal([20, 1], Ints(file, 120 + 84, 2));
        Assert.Equal("a né"u8, file.AsSpan(120 + 84 + 8, 5));
        Assert.Equal("a né", SessionFile.ReadInfo(FilePath).Note);
        int at = 120 + 84 + 8 + 5;
        Assert.Equal(tiny.NaiveLogits(Ids[..20]), MemoryMarshal.Cast<byte, float>(file.AsSpan(at, 4 * c.VocabSize)).ToArray());
        at += 4 * c.VocabSize;
        using Snapshot snapshot = session.Snapshot();
        var state = new float[RecurrentState.FloatCount(c)];
        snapshot.Mark!.State.State.CopyTo(state);
        Assert.Equal(state, MemoryMarshal.Cast<byte, float>(file.AsSpan(at, 4 * state.Length)).ToArray());
        at += 4 * state.Length;
        Assert.Equal(XxHash128.Hash(file.AsSpan(0, at)), file[at..]);
    }

    [Fact]
    public async Task HalfTheSizeInBFloat16AndNearlyTheSame()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 100));
        await session.SaveAsync(FilePath);
        long whole = new FileInfo(FilePath).Length;
        await session.SaveAsync(FilePath, StateFormat.BFloat16);
        Assert.InRange(new FileInfo(FilePath).Length, whole / 2, whole * 0.6);
        using Session loaded = await Session.LoadAsync(tiny.Model, FilePath);
        Assert.Equal(session.Logits.ToArray(), loaded.Logits.ToArray());
        session.Append(Ids.AsSpan(100, 1));
        loaded.Append(Ids.AsSpan(100, 1));
        for (int i = 0; i < session.Logits.Length; i++)
        {
            Assert.Equal(session.Logits[i], loaded.Logits[i], tolerance: 0.1f);
        }
    }

    [Fact]
    public async Task RefusesWithOneClearLine()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        await session.SaveAsync(FilePath);
        byte[] good = await File.ReadAllBytesAsync(FilePath, TestContext.Current.CancellationToken);

        await AssertRefused("is cut off", good[..^1]);
        await AssertRefused("is cut off", good[..50]);
        await AssertRefused("is not a session file", []);
        await AssertRefused("is not a session file", "{\"model\": 1}"u8.ToArray());
        await AssertRefused("is damaged", [.. good, 0]);
        await AssertRefused("newer version", Changed(good, file => file[8] = 2));
        await AssertRefused("the header's checksum", Changed(good, file => file[20] ^= 1));
        await AssertRefused("its checksum", Changed(good, file => file[^40] ^= 1));
        await AssertRefused("another model", Changed(good, file => file[20] ^= 1, fixHeader: true));
        File.Delete(FilePath);
        XlstmException missing = await Assert.ThrowsAsync<XlstmException>(() => Session.LoadAsync(tiny.Model, FilePath));
        Assert.Contains("there is no such session file", missing.Message, StringComparison.Ordinal);
        XlstmException unwritable = await Assert.ThrowsAsync<XlstmException>(() => session.SaveAsync(Path.Combine(_folder.Path, "no", "folder")));
        Assert.Contains("cannot be written", unwritable.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task NoFlippedBitAndNoTruncationGoesUnseen()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        await session.SaveAsync(FilePath);
        byte[] good = await File.ReadAllBytesAsync(FilePath, TestContext.Current.CancellationToken);
        for (int i = 0; i < good.Length; i += i < 300 ? 1 : 31)
        {
            await AssertRefused("session", Changed(good, file => file[i] ^= (byte)(1 << (i % 8))));
            await AssertRefused("session", good[..i]);
        }
    }

    /// <summary>A forger can make the checksums right: whatever the numbers say, a load ends with one line or a session.</summary>
    [Fact]
    public async Task ForgedNumbersDoNoHarm()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        await session.SaveAsync(FilePath);
        byte[] good = await File.ReadAllBytesAsync(FilePath, TestContext.Current.CancellationToken);
        Gen<int> value = Gen.OneOf(Gen.Int[-1, 2], Gen.Int.Select(i => 1 << i), Gen.Int);
        Gen.Select(Gen.Int[12, 29], value, Gen.Bool, Gen.Int[0, 15], value).Sample(
            (word, number, both, otherWord, otherNumber) =>
            {
                File.WriteAllBytes(FilePath, Changed(good, file =>
                {
                    BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(4 * word), number);
                    if (both)
                    {
                        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(48 + (4 * otherWord)), otherNumber);
                    }
                }, fixHeader: true));
                try
                {
                    Session.LoadAsync(tiny.Model, FilePath).GetAwaiter().GetResult().Dispose();
                }
                catch (XlstmException e)
                {
                    Assert.DoesNotContain('\n', e.Message);
                }
            },
            iter: 2000,
            threads: 1,
            seed: "0000KOIPrtc4");
    }

    [Fact]
    public async Task ACancelledSaveLeavesTheOldFile()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        await session.SaveAsync(FilePath);
        session.Append(Ids.AsSpan(20, 20));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => session.SaveAsync(FilePath, cancellationToken: new CancellationToken(canceled: true)));
        Assert.Single(Directory.EnumerateFiles(_folder.Path));
        Assert.Equal(20, SessionFile.ReadInfo(FilePath).Tokens.Count);
    }

    private static int[] Ints(byte[] file, int offset, int count) => MemoryMarshal.Cast<byte, int>(file.AsSpan(offset, 4 * count)).ToArray();

    /// <summary>A changed copy; with both checksums made right if asked.</summary>
    private static byte[] Changed(byte[] good, Action<byte[]> change, bool fixHeader = false)
    {
        byte[] file = [.. good];
        change(file);
        if (fixHeader)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(HeaderBytes - 8), XxHash3.HashToUInt64(file.AsSpan(0, HeaderBytes - 8)));
            XxHash128.Hash(file.AsSpan(0, file.Length - 16), file.AsSpan(file.Length - 16));
        }

        return file;
    }

    private async Task AssertRefused(string reason, byte[] file)
    {
        await File.WriteAllBytesAsync(FilePath, file, TestContext.Current.CancellationToken);
        XlstmException e = await Assert.ThrowsAsync<XlstmException>(() => Session.LoadAsync(tiny.Model, FilePath));
        Assert.StartsWith(FilePath, e.Message, StringComparison.Ordinal);
        Assert.Contains(reason, e.Message, StringComparison.Ordinal);
    }
}
