package jsonscan

// Valid reports whether b is one JSON document as RFC 8259 and RFC 7493 have
// it: valid UTF-8, no lone surrogates, at most MaxDepth deep. Of RFC 7493 one
// rule is left to the caller: names may repeat.
func Valid(b []byte) bool {
	s := Scanner{B: b}
	_, ok := s.Value()
	return ok && s.End()
}

// Value returns a value of any kind for which Valid holds.
func (s *Scanner) Value() ([]byte, bool) {
	s.Space()
	from := s.I
	if !s.value(0) {
		return nil, false
	}
	return s.B[from:s.I], true
}

// value checks a value inside of depth arrays and objects.
func (s *Scanner) value(depth int) bool {
	ok := false
	switch s.Peek() {
	case '"':
		_, ok = s.Text()
	case '{':
		s.I++
		ok = depth < MaxDepth && s.members(depth+1)
	case '[':
		s.I++
		ok = depth < MaxDepth && s.elements(depth+1)
	case 't', 'f':
		_, ok = s.Bool()
	case 'n':
		ok = s.Null()
	default:
		_, ok = s.Number()
	}
	return ok
}

func (s *Scanner) members(depth int) bool {
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return ok
		}
		if !cleanRaw(name) || !s.value(depth) {
			return false
		}
	}
}

func (s *Scanner) elements(depth int) bool {
	for n := 0; ; {
		more, ok := s.Elem(&n)
		if !ok || !more {
			return ok
		}
		if !s.value(depth) {
			return false
		}
	}
}

// Skip moves over a value of any kind. It is the quick one: of arrays and
// objects it only matches the brackets, of strings it finds the end, of the
// rest it takes what stands before the next delimiter. What it moved over may
// be no JSON at all and must not be passed on without Valid. In a valid document
// Skip and Value end at the same byte.
func (s *Scanner) Skip() bool {
	switch s.Peek() {
	case '"':
		_, ok := s.Raw()
		return ok
	case '{', '[':
		return s.skipBrackets()
	default:
		return s.skipWord()
	}
}

// skipBrackets moves over an array or object. kinds holds one bit for each
// bracket that is open, the innermost lowest: 1 for '{'.
func (s *Scanner) skipBrackets() bool {
	var kinds uint64
	for depth := 0; s.I < len(s.B); {
		c := s.B[s.I]
		if c == '"' {
			if _, ok := s.Raw(); !ok {
				return false
			}
			continue
		}
		s.I++
		switch c {
		case '{', '[':
			if depth++; depth > MaxDepth {
				return false
			}
			kinds = kinds<<1 | uint64(c>>5&1)
		case '}', ']':
			if kinds&1 != uint64(c>>5&1) {
				return false
			}
			kinds >>= 1
			if depth--; depth == 0 {
				return true
			}
		}
	}
	return false
}

func (s *Scanner) skipWord() bool {
	from := s.I
	for ; s.I < len(s.B); s.I++ {
		switch s.B[s.I] {
		case ',', '}', ']', ' ', '\n', '\r', '\t':
			return s.I > from
		case ':', '"', '{', '[':
			return false
		}
	}
	return s.I > from
}
