using Xlstm.Cli.LineEditing;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: a key changes another part of the line than the one a person sees, or half of a character.</summary>
public class LineEditingTests
{
    [Fact]
    public void EditsByCharactersAndWords()
    {
        var line = new LineBuffer();
        line.Insert("one two 👩‍👧 three");
        line.WordLeft();
        line.Left();
        line.Backspace();
        Assert.Equal(("one two  three", 8), (line.Text, line.Position));
        line.DeleteWord();
        Assert.Equal("one  three", line.Text);
        line.DeleteToEnd();
        line.Home();
        line.Delete();
        line.Right();
        line.Insert("x");
        Assert.Equal(("nxe ", 2), (line.Text, line.Position));
        line.WordRight();
        line.DeleteToStart();
        Assert.Equal((" ", 0), (line.Text, line.Position));
        line.Left();
        line.Backspace();
        line.End();
        line.Right();
        line.Delete();
        Assert.Equal((" ", 1), (line.Text, line.Position));
    }

    [Fact]
    public void HistoryComesBackToWhatWasBeingWritten()
    {
        var history = new LineHistory();
        Assert.Null(history.Previous("draft"));
        history.Add("one");
        history.Add("two");
        history.Add("two");
        history.Add("");
        Assert.Equal("two", history.Previous("draft"));
        Assert.Equal("one", history.Previous("two"));
        Assert.Null(history.Previous("one"));
        Assert.Equal("two", history.Next());
        Assert.Equal("draft", history.Next());
        Assert.Null(history.Next());
    }

    [Theory]
    [InlineData("hello", 5, 10, "hello", 5)]
    [InlineData("hello", 5, 5, "ello", 4)]
    [InlineData("hello world", 0, 5, "hello", 0)]
    [InlineData("hello world", 11, 6, "world", 5)]
    [InlineData("日本語", 3, 5, "本語", 4)]
    [InlineData("a\nb\u0007", 0, 9, "a⏎b�", 0)]
    public void ShowsThePartWithTheCursor(string text, int position, int columns, string shown, int cursor) =>
        Assert.Equal(new LineView(shown, cursor), LineView.Of(text, position, columns));
}
