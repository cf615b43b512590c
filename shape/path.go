package shape

import "strconv"

// A path is where the walk stands: the names of structures and the indexes of
// lists. Names of maps and of unknown members never become part of it.
type path []step

type step struct {
	name  string
	index int // counts from 0, if name is empty
}

// member renders the path as AWS does in violations.
func (p path) member() string {
	var b []byte
	for i, s := range p {
		if i > 0 {
			b = append(b, '.')
		}
		if s.name != "" {
			b = append(b, s.name...)
			continue
		}
		b = strconv.AppendInt(b, int64(s.index)+1, 10)
		b = append(b, ".member"...)
	}
	return string(b)
}

// pointer renders the path as AWS does for malformed bodies.
func (p path) pointer() string {
	b := []byte{'#'}
	for _, s := range p {
		b = append(b, '/')
		if s.name != "" {
			b = append(b, s.name...)
			continue
		}
		b = strconv.AppendInt(b, int64(s.index), 10)
	}
	return string(b)
}
