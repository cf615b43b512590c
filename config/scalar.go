package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
)

// A Size is a number of bytes; in the file 25MB, 512MiB, 1KB or plain bytes.
type Size int64

// A Percent is a share between 0 and 1; in the file 30% or 0.3.
type Percent float64

// Dollars is an amount of money in nano-dollars; in the file 0.25 or $0.25.
type Dollars int64

// setScalar parses text as the field's type wants it, checks it and sets v.
// It returns what is wrong, or "".
func setScalar(v reflect.Value, f *field, text string) (what, help string) {
	if what, help = parseScalar(v, text); what != "" {
		return what, help
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		return "is none of " + strings.Join(f.enum, ", "), suggest(text, f.enum)
	}
	if check, ok := forms[f.form]; ok {
		return check(text)
	}
	return bounds(v, f)
}

func parseScalar(v reflect.Value, text string) (what, help string) {
	switch v.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return "is not a duration", "write a number with a unit: 250ms, 20s, 5m, 1h"
		}
		v.SetInt(int64(d))
	case Size:
		n, ok := parseSize(text)
		if !ok {
			return "is not a size", "write a number with a unit: 64KB, 25MB, 512MiB"
		}
		v.SetInt(n)
	case Percent:
		p, ok := parsePercent(text)
		if !ok {
			return "is not a share between 0% and 100%", "write 30% or 0.3"
		}
		v.SetFloat(p)
	case Dollars:
		n, ok := parseDollars(text)
		if !ok {
			return "is not an amount of dollars", "write 0.25 or $3, with at most nine digits behind the point"
		}
		v.SetInt(n)
	default:
		return parseBasic(v, text)
	}
	return "", ""
}

func parseBasic(v reflect.Value, text string) (what, help string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil || len(text) == 1 {
			return "is neither true nor false", ""
		}
		v.SetBool(b)
	case reflect.Int:
		n, ok := parseCount(text)
		if !ok {
			return "is not a whole number", "write 256, 60k or 2M"
		}
		v.SetInt(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
			return "is not a number", "write 1, 2.5 or 0.1"
		}
		v.SetFloat(x)
	default:
		panic("config: field of unsupported type " + v.Type().String())
	}
	return "", ""
}

func bounds(v reflect.Value, f *field) (what, help string) {
	low, high := reflect.New(v.Type()).Elem(), reflect.New(v.Type()).Elem()
	if f.min != "" {
		mustParse(low, f.min)
		if less(v, low) {
			return "is less than " + f.min, ""
		}
	}
	if f.max != "" {
		mustParse(high, f.max)
		if less(high, v) {
			return "is more than " + f.max, ""
		}
	}
	return "", ""
}

// mustParse reads a bound from a tag.
func mustParse(v reflect.Value, bound string) {
	if what, _ := parseScalar(v, bound); what != "" {
		panic("config: bound " + bound + " " + what)
	}
}

func less(a, b reflect.Value) bool {
	if a.CanInt() {
		return a.Int() < b.Int()
	}
	return a.CanFloat() && a.Float() < b.Float()
}

// units are the suffixes of sizes, longest first.
var units = []struct {
	suffix string
	factor int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

func parseSize(text string) (int64, bool) {
	for _, u := range units {
		if digits, found := strings.CutSuffix(text, u.suffix); found {
			return scaled(strings.TrimRight(digits, " "), u.factor)
		}
	}
	return 0, false
}

func parseCount(text string) (int64, bool) {
	factor := int64(1)
	switch {
	case strings.HasSuffix(text, "k"):
		factor = 1e3
	case strings.HasSuffix(text, "M"):
		factor = 1e6
	case strings.HasSuffix(text, "G"):
		factor = 1e9
	}
	if factor > 1 {
		text = text[:len(text)-1]
	}
	return scaled(text, factor)
}

// scaled parses a decimal number and multiplies it; the product must be a
// whole number that is not negative and fits.
func scaled(digits string, factor int64) (int64, bool) {
	if digits == "" || strings.Trim(digits, "0123456789.") != "" || len(digits) > 20 {
		return 0, false
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if n > math.MaxInt64/factor {
			return 0, false
		}
		return n * factor, true
	}
	x, err := strconv.ParseFloat(digits, 64)
	x *= float64(factor)
	if err != nil || x != math.Trunc(x) || x >= 1<<53 {
		return 0, false
	}
	return int64(x), true
}

// nanos is how many digits there are behind the point of a dollar.
const nanos = 9

// parseDollars reads an amount without rounding.
func parseDollars(text string) (int64, bool) {
	whole, part, _ := strings.Cut(strings.TrimPrefix(text, "$"), ".")
	const mostDigits = 9
	digits := whole + part
	if digits == "" || strings.Trim(digits, "0123456789") != "" || len(whole) > mostDigits || len(part) > nanos {
		return 0, false
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", nanos-len(part)), 10, 64)
	return n, err == nil
}

func parsePercent(text string) (float64, bool) {
	digits, percent := strings.CutSuffix(text, "%")
	x, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(x) {
		return 0, false
	}
	if percent {
		x /= 100
	}
	return x, x >= 0 && x <= 1
}

// forms are the named checks of values. Each returns what is wrong, or "".
var forms = map[string]func(string) (what, help string){
	"address": addressForm, "region": regionForm, "account": accountForm, "path": pathForm, "file": pathForm,
	"model": modelForm, "branded": brandedForm, "url": urlForm, "word": wordForm, "regexp": regexpForm, "pair": pairForm,
}

func addressForm(s string) (what, help string) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if _, digits := strconv.Atoi(s); digits == nil {
			return "is a port without a host", "write 127.0.0.1:" + s
		}
		return "is not an address of the form HOST:PORT", "write 127.0.0.1:8484"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "has no port between 0 and 65535", "write 127.0.0.1:8484"
	}
	if strings.ContainsAny(host, " /@") {
		return "has a host that is none", "write 127.0.0.1:8484"
	}
	return "", ""
}

var regionShape = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)

func regionForm(s string) (what, help string) {
	if len(s) > 20 || !regionShape.MatchString(s) {
		return "is not the name of a region", "write us-east-1, or invent one such as eu-lab-1"
	}
	return "", ""
}

func accountForm(s string) (what, help string) {
	if len(s) != 12 || strings.Trim(s, "0123456789") != "" {
		return "is not an account id of 12 digits", ""
	}
	return "", ""
}

func pathForm(s string) (what, help string) {
	if strings.TrimSpace(s) == "" || !headerText(s) && strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		return "is not the path of a file or folder", ""
	}
	return "", ""
}

func modelForm(s string) (what, help string) {
	if strings.HasPrefix(s, "arn:") {
		return "is an ARN", "write the id alone: what follows the last '/'"
	}
	if !outcrop.ValidModelID(s) || len(s) > 140 {
		return "is not a model id", "ids hold letters, digits and . : - _ only, such as meta.llama3-1-8b-instruct-v1:0"
	}
	return "", ""
}

func brandedForm(s string) (what, help string) {
	if strings.TrimSpace(s) == "" || len(s) > 100 || printable(s) != s {
		return "is not a name of at most 100 printable characters", ""
	}
	return "", ""
}

func urlForm(s string) (what, help string) {
	example := "write http://127.0.0.1:8000"
	if what, _ := addressForm(s); what == "" {
		example = "write http://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || !headerText(s) || strings.ContainsAny(s, "\\ "):
		return "is not a URL", example
	case u.Scheme != "http" && u.Scheme != "https":
		return "does not begin with http:// or https://", example
	case u.Hostname() == "":
		return "has no host", example
	case u.User != nil:
		return "holds a user name or password", "use key or headers with {file: ...} or {env: ...}"
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "has a query or a fragment", "leave out what follows the path"
	}
	if _, err := netip.ParseAddrPort(u.Host); err != nil && u.Port() != "" {
		if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
			return "has no port between 1 and 65535", example
		}
	}
	return "", ""
}

func wordForm(s string) (what, help string) {
	if s == "" || len(s) > 256 || printable(s) != s || strings.TrimSpace(s) != s || strings.Contains(s, "\t") {
		return "is not a name of at most 256 printable characters", ""
	}
	return "", ""
}

func regexpForm(s string) (what, help string) {
	if len(s) > 10_000 {
		return "is longer than 10,000 characters", ""
	}
	if _, err := regexp.Compile(s); err != nil {
		return "is not a regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "), ""
	}
	return "", ""
}

func pairForm(s string) (what, help string) {
	if key, _, found := strings.Cut(s, "="); !found || key == "" {
		return "is not of the form key=value", ""
	}
	return "", ""
}

// formatScalar returns the text that setScalar would read as v.
func formatScalar(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case Size:
		return x.String()
	case Percent:
		return x.String()
	case Dollars:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int:
		return formatCount(v.Int())
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return v.String()
	}
}

// formatDuration is time.Duration.String in ASCII and without trailing zero
// units.
func formatDuration(d time.Duration) string {
	s := strings.Replace(d.String(), "µ", "u", 1)
	if d >= time.Minute {
		s = strings.TrimSuffix(s, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(s, "m0s")]
		s = strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
	}
	return s
}

func formatCount(n int64) string {
	switch {
	case n > 0 && n%1e6 == 0:
		return strconv.FormatInt(n/1e6, 10) + "M"
	case n > 0 && n%1e3 == 0:
		return strconv.FormatInt(n/1e3, 10) + "k"
	}
	return strconv.FormatInt(n, 10)
}

// String returns the size with the largest unit that leaves a whole number.
func (s Size) String() string {
	for _, u := range []int{3, 2, 1, 0, 8, 7, 6, 4} {
		if f := units[u].factor; s > 0 && int64(s)%f == 0 {
			return strconv.FormatInt(int64(s)/f, 10) + units[u].suffix
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// String returns the share as a percentage.
func (p Percent) String() string {
	s := strconv.FormatFloat(float64(p)*100, 'g', -1, 64) + "%"
	if back, ok := parsePercent(s); !ok || back != float64(p) {
		return fmt.Sprint(float64(p))
	}
	return s
}

// String returns the amount as a decimal number.
func (d Dollars) String() string { return outcrop.NanoDollars(d).String() }
