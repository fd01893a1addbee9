using System.CommandLine;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm devices</c>: where a model can run on this machine, and why it cannot elsewhere.</summary>
internal static class DevicesCommand
{
    public static Command Create()
    {
        var command = new ToolCommand("devices", "List the devices of this machine and why one cannot be used.")
        {
            Examples = [("xlstm devices", "what --device can name")],
        };
        command.SetAction(_ => Run());
        return command;
    }

    private static int Run()
    {
        using var output = new TextOutput();
        foreach (ComputeDevice device in ComputeDevice.Find())
        {
            output.Write($"{device.Name,-8} {device.Description}{(device.Fault is null ? "" : $"; not used: {device.Fault}")}\n");
        }

        return ExitCode.Success;
    }
}
