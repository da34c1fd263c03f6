package report

// Code shows untrusted text in a line of Markdown, outside tables: sanitised, capped, in a code span that it cannot leave.
func Code(s string) string { return codeSpan(s) }

// Clean makes untrusted text one harmless line of at most limit runes, for where no format is at work.
func Clean(s string, limit int) string { return clean(s, limit) }

// Percent writes a ratio as a change in percent: 1.071 is "+7.1 %".
func Percent(ratio float64) string { return percentOf(&ratio) }
