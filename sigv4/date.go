package sigv4

import "time"

// Layout is the form of X-Amz-Date, in UTC.
const Layout = "20060102T150405Z"

// parseTime reads a time in Layout and nothing else.
func parseTime(s string) (t time.Time, ok bool) {
	if len(s) != len(Layout) || s[8] != 'T' || s[15] != 'Z' {
		return time.Time{}, false
	}
	var n [6]int
	for i, span := range [6][2]int{{0, 4}, {4, 6}, {6, 8}, {9, 11}, {11, 13}, {13, 15}} {
		if n[i], ok = digits(s[span[0]:span[1]]); !ok {
			return time.Time{}, false
		}
	}
	if n[1] < 1 || n[1] > 12 || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return time.Time{}, false
	}
	t = time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	return t, t.Day() == n[2]
}

// digits reads a decimal number without sign; s is at most nine bytes long.
func digits(s string) (n int, ok bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
