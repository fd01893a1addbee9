using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>What going back costs and keeps, one behaviour at a time.</summary>
public sealed class SessionTimelineTests(TinyModel tiny) : IClassFixture<TinyModel>
{
    private static readonly int[] Ids = Golden.Load(TinyModel.Name).InputIds;

    /// <summary>Risk: a snapshot is not what the session was, or changes when the session moves on.</summary>
    [Fact]
    public async Task ASnapshotGivesTheSameContinuationAgain()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        int[] before = await session.GreedyAsync(5);
        using Snapshot snapshot = session.Snapshot();
        Assert.Equal((25, 1), (snapshot.Tokens.Count, snapshot.Waiting));
        int[] once = await session.GreedyAsync(10);
        session.Append(Ids.AsSpan(20, 30));
        session.Restore(snapshot);
        Assert.Equal([.. Ids[..20], .. before], session.Tokens);
        Assert.Equal(once, await session.GreedyAsync(10));
    }

    /// <summary>Risk: a fork and its origin write into the same state.</summary>
    [Fact]
    public async Task AForkIsIndependent()
    {
        using Session origin = tiny.Model.CreateSession();
        origin.Append(Ids.AsSpan(0, 20));
        using Session fork = origin.Fork();
        fork.Append(Ids.AsSpan(50, 10));
        origin.Append(Ids.AsSpan(20, 10));
        tiny.AssertIsAt([.. Ids[..20], .. Ids[50..60]], fork);
        tiny.AssertIsAt(Ids[..30], origin);
        origin.Dispose();
        Assert.Equal(tiny.NaiveGreedy([.. Ids[..20], .. Ids[50..60]], 5), await fork.GreedyAsync(5));
    }

    /// <summary>Risk: forks and snapshots copy states that nobody moves on (128 MiB each for a 7B).</summary>
    [Fact]
    public void StatesAreSharedUntilSomebodyMovesOn()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        using Snapshot first = session.Snapshot();
        using Snapshot second = session.Snapshot();
        using Session fork = session.Fork();
        Assert.Same(first.Mark!.State, second.Mark!.State);
        Assert.Same(first.Mark.State, fork.MarkAndRelease().State);
        fork.Append(Ids.AsSpan(20, 1));
        Assert.NotSame(first.Mark.State, fork.MarkAndRelease().State);
        session.Restore(first);
        Assert.Same(first.Mark.State, session.MarkAndRelease().State);
    }

    /// <summary>Risk: rewinding replays more than the distance to the last kept state, or keeps states outside the budget.</summary>
    [Fact]
    public void RewindReplaysFromTheNearestMark()
    {
        long bytes = tiny.Model.StateBytes + (sizeof(float) * tiny.Model.Config.VocabSize);
        using Session session = tiny.Model.CreateSession(new SnapshotPolicy { Interval = 10, ByteBudget = 6 * bytes });
        foreach (int id in Ids)
        {
            session.Append([id]);
        }

        Assert.Equal(6, session.Marks.Count);
        Assert.Equal(150, session.Marks[^1]);
        int mark = session.Marks[^2];
        Assert.Equal(3, session.Rewind(mark + 3));
        tiny.AssertIsAt(Ids[..(mark + 3)], session);
        Assert.Equal(0, session.Rewind(mark));
        Assert.Equal(0, session.Rewind(0));
        Assert.Empty(session.Marks);
        Assert.Equal(0, session.Rewind(0));
    }

    /// <summary>Risk: undoing a chat turn, whose reply's last token still waited, reads something again.</summary>
    [Fact]
    public async Task GoingBackToAMarkWithAWaitingTokenReplaysNothing()
    {
        using Session session = tiny.Model.CreateSession(new SnapshotPolicy { Interval = 0 });
        session.Append(Ids.AsSpan(0, 20));
        await session.GreedyAsync(5);
        session.Mark();
        int turn = session.Tokens.Count;
        session.Append(Ids.AsSpan(20, 20));
        await session.GreedyAsync(5);
        Assert.Equal(0, session.Rewind(turn));
        Assert.Equal((turn, 1), (session.Tokens.Count, session.Waiting));
        tiny.AssertIsAt([.. session.Tokens], session);
    }

    /// <summary>Risk: the report says something else than what was done.</summary>
    [Fact]
    public void SyncToReportsWhatItDid()
    {
        using Session session = tiny.Model.CreateSession(new SnapshotPolicy { Interval = 0 });
        Assert.Equal(new SyncReport(Common: 0, Removed: 0, Reused: 0, Fed: 20), session.SyncTo(Ids.AsSpan(0, 20)));
        Assert.Equal(new SyncReport(Common: 20, Removed: 0, Reused: 20, Fed: 0), session.SyncTo(Ids.AsSpan(0, 20)));
        session.Mark();
        Assert.Equal(new SyncReport(Common: 20, Removed: 0, Reused: 20, Fed: 30), session.SyncTo(Ids.AsSpan(0, 50)));
        SyncReport edited = session.SyncTo([.. Ids[..40], .. Ids[60..70]]);
        Assert.Equal(new SyncReport(Common: 40, Removed: 10, Reused: 20, Fed: 30), edited);
        Assert.Equal(20, edited.Replayed);
        tiny.AssertIsAt([.. Ids[..40], .. Ids[60..70]], session);
        Assert.Throws<XlstmException>(() => session.SyncTo([.. Ids[..5], 160]));
        Assert.Equal(50, session.Tokens.Count);
    }

    /// <summary>Risk: a cancelled append leaves tokens that were not fed, or logits of another position.</summary>
    [Fact]
    public void ACancelledAppendHoldsWhatWasFed()
    {
        using Session session = tiny.Model.CreateSession();
        using var source = new CancellationTokenSource();
        int[] many = [.. Enumerable.Range(0, 6).SelectMany(_ => Ids)];
        var progress = new Cancelling(source);
        Assert.Throws<OperationCanceledException>(() => session.Append(many, progress, source.Token));
        Assert.InRange(progress.Fed, 1, many.Length - 1);
        tiny.AssertIsAt(many[..progress.Fed], session);
    }

    /// <summary>Risk: a snapshot of another model is taken for one of this model; one of the same model loaded twice is refused.</summary>
    [Fact]
    public async Task SnapshotsGoToTheSameModelOnly()
    {
        using Session session = tiny.Model.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        using Snapshot snapshot = session.Snapshot();
        using XlstmModel twin = TinyModel.Load();
        using Session there = twin.CreateSession();
        there.Restore(snapshot);
        Assert.Equal(tiny.NaiveGreedy(Ids[..20], 5), await there.GreedyAsync(5));
        using XlstmModel other = TinyModel.Load("tiny-fused-bias");
        using Session elsewhere = other.CreateSession();
        XlstmException e = Assert.Throws<XlstmException>(() => elsewhere.Restore(snapshot));
        Assert.Contains("another model", e.Message, StringComparison.Ordinal);
    }

    /// <summary>Risk: a disposed session, whose state may serve another by now, moves on.</summary>
    [Fact]
    public void ADisposedSessionOrSnapshotIsOutOfUse()
    {
        Session session = tiny.Model.CreateSession();
        session.Append([1]);
        Snapshot snapshot = session.Snapshot();
        snapshot.Dispose();
        Assert.Throws<ObjectDisposedException>(() => session.Restore(snapshot));
        session.Dispose();
        session.Dispose();
        Assert.Throws<ObjectDisposedException>(() => session.Append([1]));
        Assert.Throws<ObjectDisposedException>(session.Snapshot);
        Assert.Throws<ObjectDisposedException>(session.Fork);
    }

    /// <summary>Risk: sessions on several threads disturb each other through the states they share.</summary>
    [Fact]
    public async Task ManySessionsOnOneModelAtOnce()
    {
        using Session origin = tiny.Model.CreateSession();
        origin.Append(Ids.AsSpan(0, 20));
        int[][] tails = [.. Enumerable.Range(0, 8).Select(i => Ids[(20 + i)..(30 + i)])];
        int[][] expected = [.. tails.Select(tail => tiny.NaiveGreedy([.. Ids[..20], .. tail], 10))];
        Session[] forks = [.. tails.Select(_ => origin.Fork())];
        int[][] found = await Task.WhenAll(forks.Select((fork, i) => Task.Run(async () =>
        {
            int[] ids = [];
            for (int round = 0; round < 5; round++)
            {
                using Snapshot snapshot = fork.Snapshot();
                fork.Append(tails[i]);
                ids = await fork.GreedyAsync(10);
                fork.Restore(snapshot);
            }

            fork.Dispose();
            return ids;
        })));
        Assert.Equal(expected, found);
        tiny.AssertIsAt(Ids[..20], origin);
    }

    private sealed class Cancelling(CancellationTokenSource source) : IProgress<int>
    {
        public int Fed { get; private set; }

        public void Report(int value)
        {
            Fed = value;
            source.Cancel();
        }
    }
}

internal static class MarkExtensions
{
    public static Xlstm.Sessions.StateMark MarkAndRelease(this Session session)
    {
        Xlstm.Sessions.StateMark mark = session.MarkHere();
        mark.Release();
        return mark;
    }
}
