package store

import (
	"strings"
	"time"

	"github.com/outcrop/outcrop"
)

// A Filter says which resources a list holds, and in which order. What is
// empty or zero lets everything pass.
type Filter struct {
	Kind          outcrop.ARN // all but the id: type, region and account; each must be set
	Status, Model string
	NameContains  string
	CreatedAfter  time.Time
	CreatedBefore time.Time
	Ascending     bool // oldest first; otherwise newest first
}

// A Cursor is a place in a list: behind the resource that it stands for,
// whether that still exists or not. The zero Cursor stands before the first.
type Cursor struct {
	Created time.Time
	Seq     int64
}

// Page returns up to size resources that come behind a place in the list, and
// the place behind them; the zero Cursor says that there are no more. A walk
// from page to page sees each resource that is there all the time exactly
// once, whatever is created and deleted on the way.
func (t *Tx) Page(f Filter, after Cursor, size int) ([]Resource, Cursor, error) {
	where, args := f.conditions(after)
	order := "created DESC, seq DESC"
	if f.Ascending {
		order = "created, seq"
	}
	page, err := t.query(`SELECT `+resourceColumns+` FROM resources WHERE `+where+` ORDER BY `+order+` LIMIT ?`, append(args, size+1)...)
	if err != nil || len(page) <= size {
		return page, Cursor{}, err
	}
	page = page[:size]
	last := page[size-1]
	return page, Cursor{last.Created, last.seq}, nil
}

func (f *Filter) conditions(after Cursor) (where string, args []any) {
	conditions := []string{"kind = ?", "region = ?", "account = ?"}
	args = []any{f.Kind.Type, f.Kind.Region, f.Kind.Account}
	add := func(condition string, values ...any) {
		conditions = append(conditions, condition)
		args = append(args, values...)
	}
	if f.Status != "" {
		add("status = ?", f.Status)
	}
	if f.Model != "" {
		add("model = ?", f.Model)
	}
	if f.NameContains != "" {
		add("instr(name, ?) > 0", f.NameContains)
	}
	if !f.CreatedAfter.IsZero() {
		add("created > ?", f.CreatedAfter.UnixMicro())
	}
	if !f.CreatedBefore.IsZero() {
		add("created < ?", ceilMicro(f.CreatedBefore))
	}
	if after != (Cursor{}) {
		behind := "(created, seq) < (?, ?)"
		if f.Ascending {
			behind = "(created, seq) > (?, ?)"
		}
		add(behind, after.Created.UnixMicro(), after.Seq)
	}
	return strings.Join(conditions, " AND "), args
}

// ceilMicro rounds up, so that what was created in the same microsecond, but
// before t, is before t.
func ceilMicro(t time.Time) int64 {
	n := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		n++
	}
	return n
}
