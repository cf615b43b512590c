package shape

// base64Length returns how many bytes the inside of a JSON string spells in
// standard base64 with padding. An escaped slash counts as a slash; other
// escapes are not taken.
func base64Length(raw []byte) (n int, ok bool) {
	digits, pads := 0, 0
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' {
			if i++; i >= len(raw) || raw[i] != '/' {
				return 0, false
			}
			c = '/'
		}
		if c == '=' {
			pads++
			continue
		}
		if pads > 0 || !base64Digit(c) {
			return 0, false
		}
		digits++
	}
	if pads > 2 || (digits+pads)%4 != 0 || pads > 0 && digits == 0 {
		return 0, false
	}
	return digits * 3 / 4, true
}

func base64Digit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}
