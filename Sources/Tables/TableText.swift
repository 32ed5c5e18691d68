/// Lines of comma-separated tables as RFC 4180 has them: what we write, our own reader and others' read back.
public enum TableText {
    /// A line with its end. Fields with commas, quotes, line ends or blanks at their ends are quoted.
    public static func line(_ fields: [String]) -> String {
        fields.map(field).joined(separator: ",") + "\n"
    }

    /// One field, quoted where it must be.
    public static func field(_ text: String) -> String {
        let isPlain =
            !text.utf8.contains { ",\";\t\n\r".utf8.contains($0) } && text.utf8.first != 0x20 && text.utf8.last != 0x20
        return isPlain ? text : "\"\(text.replacing("\"", with: "\"\""))\""
    }
}
