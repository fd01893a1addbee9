using System.Diagnostics;
using System.Runtime.CompilerServices;
using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>
/// Risk: a process that is killed while it saves leaves a damaged file, or none where there was one. Child processes (this
/// program again, in another mode) save two sessions in turn until they are killed, a hundred times.
/// </summary>
public sealed class CrashTests
{
    private const string ModeVariable = "XLSTM_TESTS_SAVE_TO";
    private const int Kills = 100;
    private const int Children = 4;

    private static readonly int[] Ids = Golden.Load(TinyModel.Name).InputIds;

    [Fact]
    public async Task AKilledSaveLeavesAWholeFile()
    {
        using var folder = new TemporaryFolder();
        using XlstmModel tiny = TinyModel.Load();
        using Session session = tiny.CreateSession();
        session.Append(Ids.AsSpan(0, 20));
        await session.SaveAsync(Path.Combine(folder.Path, "shorter"));
        session.Append(Ids.AsSpan(20, 20));
        await session.SaveAsync(Path.Combine(folder.Path, "longer"));
        await Task.WhenAll(Enumerable.Range(0, Children).Select(child => Task.Run(() => KillRepeatedly(tiny, folder.Path, child))));

        async Task KillRepeatedly(XlstmModel model, string path, int child)
        {
            string file = Path.Combine(path, $"{child}.session");
            var random = new Random(child);
            for (int i = 0; i < Kills / Children; i++)
            {
                using Process process = StartSaving(file);
                Assert.Equal("saving", await process.StandardOutput.ReadLineAsync());
                await Task.Delay(random.Next(15));
                process.Kill();
                await process.WaitForExitAsync();

                using Session found = await Session.LoadAsync(model, file);
                Assert.Contains(found.Tokens.Count, new[] { 20, 40 });
                Assert.Equal(Ids[..found.Tokens.Count], found.Tokens);
                Assert.InRange(Directory.GetFiles(path, $"{child}.session.*").Length, 0, 2);
            }
        }
    }

    /// <summary>Turns this program into the one that saves until it is killed. Before Main, which belongs to the test runner.</summary>
    [ModuleInitializer]
    internal static void SaveUntilKilled()
    {
        if (Environment.GetEnvironmentVariable(ModeVariable) is { } file)
        {
            string folder = Path.GetDirectoryName(file)!;
            using XlstmModel model = TinyModel.Load();
            using Session shorter = Session.LoadAsync(model, Path.Combine(folder, "shorter")).GetAwaiter().GetResult();
            using Session longer = Session.LoadAsync(model, Path.Combine(folder, "longer")).GetAwaiter().GetResult();
            shorter.SaveAsync(file).GetAwaiter().GetResult();
            Console.WriteLine("saving");
            for (int i = 1; ; i++)
            {
                (i % 2 == 0 ? shorter : longer).SaveAsync(file).GetAwaiter().GetResult();
            }
        }
    }

    private static Process StartSaving(string file)
    {
        // Under "dotnet test" and by itself alike, the test program is an executable of its own.
        var start = new ProcessStartInfo(Path.ChangeExtension(typeof(CrashTests).Assembly.Location, OperatingSystem.IsWindows() ? ".exe" : null)) { RedirectStandardOutput = true };
        start.Environment[ModeVariable] = file;
        start.Environment["DOTNET_TieredPGO"] = "0"; // a short life: less to compile
        return Process.Start(start)!;
    }
}
