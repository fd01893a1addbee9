using CsCheck;
using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>
/// Risk: some order of appending, generating, forking, rewinding, editing, restoring, saving and loading leaves a session
/// whose state is not that of its tokens. Random orders of all of them, on sessions that share states, against a naive
/// session that recomputes from the start: tokens and logits must be the same bit for bit.
/// </summary>
public abstract class SessionPropertyTests(TinyModel tiny)
{
    private const int MostTokens = 60;

    private static readonly Gen<(int Kind, int A, int B)> Operation = Gen.Select(Gen.Int[0, 10], Gen.Int[0, 999], Gen.Int[0, 999]);

    [Theory]
    [InlineData(0, 0, false, "0000KOIPrtc4")]
    [InlineData(5, 200_000, false, "0000KOIPrtc5")]
    [InlineData(3, 100_000_000, true, "0000KOIPrtc6")]
    public void AnyOrderOfOperations(int interval, int budget, bool cached, string seed)
    {
        using var folder = new TemporaryFolder();
        Operation.List[1, 25].Sample(
            operations =>
            {
                using PrefixCache? cache = cached ? new PrefixCache(tiny.Model, new PrefixCacheOptions { Interval = 7, MinimumTokens = 2, ByteBudget = 600_000 }) : null;
                var policy = new SnapshotPolicy { Interval = interval, ByteBudget = budget };
                using var run = new Run(tiny, policy, cache, Path.Combine(folder.Path, "session"));
                foreach ((int kind, int a, int b) in operations)
                {
                    run.Do(kind, a, b);
                }

                run.CheckAll();
            },
            iter: 40,
            threads: 1,
            seed: seed);
    }

    /// <summary>Sessions beside the tokens that each should have.</summary>
    private sealed class Run(TinyModel tiny, SnapshotPolicy policy, PrefixCache? cache, string file) : IDisposable
    {
        private readonly List<(Session Session, List<int> Tokens)> _sessions = [(Create(tiny, policy, cache), [])];
        private readonly List<(Snapshot Snapshot, int[] Tokens)> _snapshots = [];

        public void Do(int kind, int a, int b)
        {
            int index = a % _sessions.Count;
            (Session session, List<int> tokens) = _sessions[index];
            switch (kind)
            {
                case 0:
                    int[] ids = Ids(a, 1 + (b % 12), tokens.Count);
                    session.Append(ids);
                    tokens.AddRange(ids);
                    break;
                case 1:
                    int count = Math.Min(1 + (b % 6), Math.Max(0, MostTokens - tokens.Count));
                    int[] expected = tiny.NaiveGreedy(tokens, count);
                    Assert.Equal(expected, session.GreedyAsync(count).GetAwaiter().GetResult());
                    tokens.AddRange(tokens.Count == 0 ? [tiny.Model.BeginOfText, .. expected] : expected);
                    break;
                case 2:
                    if (_sessions.Count < 4)
                    {
                        _sessions.Add((session.Fork(), [.. tokens]));
                    }

                    break;
                case 3:
                    int position = b % (tokens.Count + 1);
                    session.Rewind(position);
                    tokens.RemoveRange(position, tokens.Count - position);
                    break;
                case 4:
                    // An edit: other tokens from some place on.
                    int[] wanted = [.. tokens.Take(b % (tokens.Count + 1)), .. Ids(b, a % 8, tokens.Count)];
                    int common = tokens.Zip(wanted).TakeWhile(pair => pair.First == pair.Second).Count();
                    SyncReport report = session.SyncTo(wanted);
                    Assert.Equal((common, tokens.Count - common, wanted.Length), (report.Common, report.Removed, report.Reused + report.Fed));
                    tokens.Clear();
                    tokens.AddRange(wanted);
                    break;
                case 5:
                    _snapshots.Add((session.Snapshot(), [.. tokens]));
                    break;
                case 6 when _snapshots.Count > 0:
                    (Snapshot snapshot, int[] then) = _snapshots[b % _snapshots.Count];
                    session.Restore(snapshot);
                    tokens.Clear();
                    tokens.AddRange(then);
                    break;
                case 7:
                    session.SaveAsync(file).GetAwaiter().GetResult();
                    session.Dispose();
                    _sessions[index] = (Session.LoadAsync(tiny.Model, file, policy).GetAwaiter().GetResult(), tokens);
                    break;
                case 8:
                    session.Mark();
                    break;
                case 9 when _sessions.Count > 1:
                    session.Dispose();
                    _sessions.RemoveAt(index);
                    break;
                case 10:
                    int[] queued = Ids(b, a % 4, tokens.Count);
                    session.Queue(queued);
                    tokens.AddRange(queued);
                    break;
                default:
                    tiny.AssertIsAt(tokens, session);
                    break;
            }
        }

        public void CheckAll()
        {
            foreach ((Session session, List<int> tokens) in _sessions)
            {
                tiny.AssertIsAt(tokens, session);
            }

            foreach ((Snapshot snapshot, int[] tokens) in _snapshots)
            {
                _sessions[0].Session.Restore(snapshot);
                tiny.AssertIsAt(tokens, _sessions[0].Session);
            }
        }

        public void Dispose()
        {
            _sessions.ForEach(pair => pair.Session.Dispose());
            _snapshots.ForEach(pair => pair.Snapshot.Dispose());
        }

        private static Session Create(TinyModel tiny, SnapshotPolicy policy, PrefixCache? cache) =>
            cache?.CreateSession(policy) ?? tiny.Model.CreateSession(policy);

        // Few different ids, so that timelines meet again.
        private static int[] Ids(int seed, int count, int held)
        {
            var random = new Random(seed % 5);
            return [.. Enumerable.Range(0, Math.Min(count, Math.Max(0, MostTokens - held))).Select(_ => random.Next(1, 4))];
        }
    }
}

/// <summary>Where every logit comes to the host.</summary>
public sealed class SessionPropertyTestsOfLogits(TinyModel tiny) : SessionPropertyTests(tiny), IClassFixture<TinyModel>;

/// <summary>Where logits stay on the device until somebody asks for them.</summary>
public sealed class SessionPropertyTestsOfShortlists(TinyModelOfShortlists tiny) : SessionPropertyTests(tiny), IClassFixture<TinyModelOfShortlists>;
