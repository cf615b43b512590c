// Package picture draws how long provisioned requests wait for their first
// token under each load and policy, beside what they wait when they are alone:
// one SVG image without scripts, light or dark as the reader's screen is.
package picture

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
)

// A Panel is one part of the picture: a number of engines.
type Panel struct {
	Title  string
	Alone  float64 // seconds
	Groups []Group
}

// A Group is a load.
type Group struct {
	Label string
	Bars  []Bar
}

// A Bar is a policy under the load.
type Bar struct {
	Label string
	Style Style
	Value float64 // seconds; infinite for never
	Ratio float64 // to alone
	Note  string  // right of the plot
}

// A Style is a colour.
type Style string

// The styles.
const (
	Bad  Style = "bad"
	Fair Style = "fair"
	Good Style = "good"
)

// A Picture is all of it.
type Picture struct {
	Title, Subtitle, Axis, Note string // Note heads the column of notes
	Panels                      []Panel
}

// Sizes in pixels.
const (
	width     = 880
	left      = 240 // where the plot begins
	right     = 640 // and ends; beyond it lies never
	never     = 690
	notes     = 870
	row       = 22
	groupGap  = 10
	panelHead = 34
	top       = 66
)

// The axis, seconds.
const (
	least = .1
	most  = 30.
)

var ticks = []struct {
	at    float64
	label string
}{{.1, "100 ms"}, {.3, "300 ms"}, {1, "1 s"}, {3, "3 s"}, {10, "10 s"}, {30, "30 s"}}

const style = `<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.panel { font-size: 14px; font-weight: 600 }
.quiet { fill: #59636e; font-size: 12px }
.end { text-anchor: end } .middle { text-anchor: middle }
.back { fill: #ffffff } .grid { stroke: #d1d9e0 } .alone { stroke: #1a7f37; stroke-width: 2 }
.bad { fill: #cf222e; stroke: #cf222e } .fair { fill: #9a6700; stroke: #9a6700 } .good { fill: #0969da; stroke: #0969da }
line.bad, line.fair, line.good { stroke-width: 5; stroke-linecap: round }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .quiet { fill: #9198a1 } .back { fill: #0d1117 } .grid { stroke: #3d444d } .alone { stroke: #3fb950 }
.bad { fill: #ff7b72; stroke: #ff7b72 } .fair { fill: #d29922; stroke: #d29922 } .good { fill: #58a6ff; stroke: #58a6ff }
}
</style>
`

// SVG returns the image.
func (p *Picture) SVG() []byte {
	d := &drawing{}
	height := top + 20
	for i := range p.Panels {
		height += p.Panels[i].height()
	}
	d.f(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", width, height, width, height)
	d.f("<title>%s</title>\n<desc>%s</desc>\n", escape(p.Title), escape(p.Subtitle))
	d.WriteString(style)
	d.f(`<rect class="back" width="%d" height="%d" rx="6"/>`+"\n", width, height)
	d.text(16, 28, "title", p.Title)
	d.text(16, 48, "quiet", p.Subtitle)
	y := top
	for i := range p.Panels {
		d.panel(&p.Panels[i], y, p.Note)
		y += p.Panels[i].height()
	}
	d.text((left+right)/2, height-8, "quiet middle", p.Axis)
	d.f("</svg>\n")
	return d.Bytes()
}

func (p *Panel) height() int {
	h := panelHead + 34
	for _, g := range p.Groups {
		h += len(g.Bars)*row + groupGap
	}
	return h
}

// A drawing is the image under way.
type drawing struct{ bytes.Buffer }

func (d *drawing) f(format string, args ...any) { fmt.Fprintf(d, format, args...) }

func (d *drawing) text(x, y int, class, s string) {
	d.f(`<text x="%d" y="%d" class="%s">%s</text>`+"\n", x, y, class, escape(s))
}

func (d *drawing) line(x1, y1, x2, y2 int, class string) {
	d.f(`<line x1="%d" y1="%d" x2="%d" y2="%d" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

func (d *drawing) panel(p *Panel, y int, note string) {
	d.text(16, y+16, "panel", p.Title)
	d.text(notes, y+16, "quiet end", note)
	begin, end := y+panelHead-8, y+p.height()-34
	for _, t := range ticks {
		d.line(across(t.at), begin, across(t.at), end, "grid")
		d.text(across(t.at), end+16, "quiet middle", t.label)
	}
	d.text(never, end+16, "quiet middle", "never")
	y += panelHead
	for _, g := range p.Groups {
		d.text(16, y+15, "", g.Label)
		for _, b := range g.Bars {
			d.bar(b, p.Alone, y)
			y += row
		}
		y += groupGap
	}
	d.line(across(p.Alone), begin, across(p.Alone), end, "alone")
}

// bar draws the way from what is waited alone to what is waited now.
func (d *drawing) bar(b Bar, alone float64, y int) {
	middle := y + 11
	from, to := across(alone), across(b.Value)
	d.text(left-12, middle+4, "end", b.Label)
	d.line(from, middle, to, middle, string(b.Style))
	d.f(`<circle cx="%d" cy="%d" r="5" class="%s"/>`+"\n", to, middle, b.Style)
	if !math.IsInf(b.Value, 0) {
		d.text(max(from, to)+12, middle+4, "", fmt.Sprintf("%s, x%.2f", Duration(b.Value), b.Ratio))
	}
	d.text(notes, middle+4, "end", b.Note)
}

// across is where a time lies on the axis.
func across(s float64) int {
	if math.IsInf(s, 0) {
		return never
	}
	part := math.Log(min(max(s, least), most)/least) / math.Log(most/least)
	return left + int(math.Round(part*(right-left)))
}

// Duration writes seconds as a reader would.
func Duration(s float64) string {
	switch {
	case math.IsNaN(s):
		return "-"
	case math.IsInf(s, 0):
		return "never"
	case s >= 10:
		return fmt.Sprintf("%.0f s", s)
	case s >= 1:
		return fmt.Sprintf("%.1f s", s)
	}
	return fmt.Sprintf("%.0f ms", s*1e3)
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
