package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
)

// part is a stretch of a script: statements, or one COPY with its rows as pg_dump writes them.
type part struct {
	line int // where it starts, from 1
	sql  string
	rows []byte // of a COPY
	copy bool
}

var (
	copyLine = regexp.MustCompile(`(?i)^copy\s.*\sfrom\s+stdin\b.*;\s*$`)
	copyElse = regexp.MustCompile(`(?im)(?:^|;)[ \t]*copy\s[^;]*\sfrom\s+stdin\b`)
	// pg_dump brackets its text with these, for psql alone.
	restrictLine = regexp.MustCompile(`^\\(un)?restrict\b`)
)

// split cuts a script at COPY … FROM stdin, whose rows are no statements.
func (s Script) split() ([]part, error) {
	if i := bytes.IndexByte(s.Text, 0); i >= 0 {
		return nil, wrong("%s:%d: unexpected zero byte: expected SQL text in UTF-8", s.Name, 1+bytes.Count(s.Text[:i], []byte("\n")))
	}
	var parts []part
	at := part{line: 1}
	end := func(next int) {
		if at.copy || strings.TrimSpace(at.sql) != "" {
			parts = append(parts, at)
		}
		at = part{line: next}
	}
	var sql strings.Builder
	number := 0
	for line := range strings.Lines(string(s.Text)) {
		number++
		text := strings.TrimRight(line, "\r\n")
		switch {
		case at.copy && text == `\.`:
			end(number + 1)
		case at.copy:
			at.rows = append(at.rows, line...)
		case copyLine.MatchString(text):
			at.sql = sql.String()
			sql.Reset()
			end(number)
			at.sql, at.copy = text, true
		case restrictLine.MatchString(text):
			sql.WriteString("\n") // its place, so that later lines keep theirs
		default:
			sql.WriteString(line)
		}
	}
	if at.copy {
		return nil, wrong(`%s:%d: COPY … FROM stdin without \. on a line of its own after the rows`, s.Name, at.line)
	}
	at.sql = sql.String()
	end(0)
	for _, p := range parts {
		if found := copyElse.FindStringIndex(p.sql); found != nil && !p.copy {
			return nil, wrong(`%s:%d: COPY … FROM stdin is understood as pg_dump writes it alone: the command on one line, the rows, \. on a line of its own`,
				s.Name, p.line+strings.Count(p.sql[:found[1]], "\n"))
		}
	}
	return parts, nil
}

// ScriptError is a script that is wrong: file, place and the server's own words.
type ScriptError struct{ text string }

func (e *ScriptError) Error() string { return e.text }

func wrong(format string, args ...any) error { return &ScriptError{fmt.Sprintf(format, args...)} }

// run executes a script as psql -f would, and stops at the first error. The statements between two COPYs are one
// transaction.
func (s Script) run(ctx context.Context, conn *pgconn.PgConn) error {
	parts, err := s.split()
	if err != nil {
		return err
	}
	for _, p := range parts {
		if p.copy {
			if _, err := conn.CopyFrom(ctx, bytes.NewReader(p.rows), p.sql); err != nil {
				return s.placed(p, 0, err)
			}
			continue
		}
		if done, err := execute(ctx, conn, p.sql); err != nil {
			return s.placed(p, done, err)
		}
	}
	return nil
}

// execute runs statements and counts those that went well.
func execute(ctx context.Context, conn *pgconn.PgConn, sql string) (done int, err error) {
	results := conn.Exec(ctx, sql)
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err == nil {
			done++
		}
	}
	return done, results.Close()
}

// placed puts file, line and column before what the server said.
func (s Script) placed(p part, done int, err error) error {
	var said *pgconn.PgError
	if !errors.As(err, &said) || said.SeverityUnlocalized == "FATAL" { // the connection's end, not the script's doing
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	text := said.Message
	for _, more := range []string{said.Detail, said.Where} {
		if first, _, _ := strings.Cut(more, "\n"); first != "" {
			text += "; " + first
		}
	}
	if said.Hint != "" {
		text += " (" + said.Hint + ")"
	}
	text += " (SQLSTATE " + said.Code + ")"
	switch {
	case said.Position > 0 && !p.copy:
		line, column := place(p.sql, int(said.Position))
		return wrong("%s:%d:%d: %s", s.Name, p.line+line-1, column, text)
	case p.copy || done == 0:
		return wrong("%s:%d: %s", s.Name, p.line, text)
	}
	return wrong("%s: statement %d from line %d: %s", s.Name, done+1, p.line, text)
}

// place turns the server's position, in characters from 1, into a line and a column.
func place(sql string, position int) (line, column int) {
	offset := 0
	for range position - 1 {
		_, size := utf8.DecodeRuneInString(sql[offset:])
		if size == 0 {
			break
		}
		offset += size
	}
	before := sql[:offset]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
