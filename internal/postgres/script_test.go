//go:build linux

package postgres

import (
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	check := func(text string, want ...part) {
		t.Helper()
		got, err := Script{Name: "f.sql", Text: []byte(text)}.split()
		if err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		if len(got) != len(want) {
			t.Errorf("%q: got %d parts %+v, want %d", text, len(got), got, len(want))
			return
		}
		for i, p := range got {
			if p.line != want[i].line || p.sql != want[i].sql || p.copy != want[i].copy || string(p.rows) != string(want[i].rows) {
				t.Errorf("%q: part %d: got %+v, want %+v", text, i, p, want[i])
			}
		}
	}
	check("")
	check("  \n\n")
	check("SELECT 1;\nSELECT 2;", part{line: 1, sql: "SELECT 1;\nSELECT 2;"})
	check("SELECT 1;\nCOPY t (a) FROM stdin;\n1\nDROP TABLE t;\n\\.\nSELECT 2;\n",
		part{line: 1, sql: "SELECT 1;\n"}, part{line: 2, sql: "COPY t (a) FROM stdin;", rows: []byte("1\nDROP TABLE t;\n"), copy: true}, part{line: 6, sql: "SELECT 2;\n"})
	check("copy t from stdin with (format csv);\r\n\\.\r\ncopy u from stdin;\n\\.\n",
		part{line: 1, sql: "copy t from stdin with (format csv);", copy: true}, part{line: 3, sql: "copy u from stdin;", copy: true})
	check("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n", part{line: 1, sql: "\nSELECT 1;\n\n"})
	check("COPY t FROM '/file';\n", part{line: 1, sql: "COPY t FROM '/file';\n"})
}

func TestSplitRefuses(t *testing.T) {
	check := func(text, want string) {
		t.Helper()
		if _, err := (Script{Name: "f.sql", Text: []byte(text)}).split(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want …%s…", text, err, want)
		}
	}
	check("SELECT 1;\nCOPY t FROM stdin;\n1\n", "f.sql:2: COPY")
	check("SELECT 1;\n\nSELECT 2; copy t\n from stdin;\n1\n", "f.sql:4: COPY … FROM stdin is understood as pg_dump writes it alone")
	check("SELECT 1;\n\x00", "f.sql:2: unexpected zero byte")
}

func TestPlace(t *testing.T) {
	check := func(sql string, position, line, column int) {
		t.Helper()
		if l, c := place(sql, position); l != line || c != column {
			t.Errorf("%q at %d: got %d:%d, want %d:%d", sql, position, l, c, line, column)
		}
	}
	check("SELECT x", 8, 1, 8)
	check("a\nb", 1, 1, 1)
	check("a\nb", 3, 2, 1)
	check("-- ä山\nSELEC", 7, 2, 1) // characters, not bytes
	check("a", 99, 1, 2)
}

func TestFind(t *testing.T) {
	installed := func(version string) string {
		dir := t.TempDir()
		write(t, dir+"/initdb", "#!/bin/sh\n")
		write(t, dir+"/postgres", "#!/bin/sh\necho 'postgres (PostgreSQL) "+version+"'\n")
		return dir
	}
	old, new := installed("11.22 (Debian 11.22-1)"), installed("15.14 (Debian 15.14-0+deb12u1)")
	if got, err := find("/nowhere:"+old+":"+new, nil); err != nil || got != (Programs{Dir: new, Version: "15.14"}) {
		t.Errorf("got %+v, %v: want 15.14, not the older one before it", got, err)
	}
	if _, err := find(old, nil); err == nil || !strings.Contains(err.Error(), "13 or later is needed") || !strings.Contains(err.Error(), "11.22") {
		t.Errorf("an old one alone: got %v", err)
	}
	if _, err := find(".:/nowhere", []string{"/nowhere/*/bin"}); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("none: got %v, want how to get one", err)
	}
	if got := majorOf("/usr/lib/postgresql/16/bin"); got != 16 {
		t.Errorf("got version %d of a folder of 16", got)
	}
}
