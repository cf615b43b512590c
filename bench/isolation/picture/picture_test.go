package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/bench/isolation/picture"
)

func example() *picture.Picture {
	return &picture.Picture{Title: `How long "provisioned" waits & why <simulated>`, Subtitle: "sub", Axis: "axis", Note: "tokens/s",
		Panels: []picture.Panel{{Title: "One engine", Alone: .22, Groups: []picture.Group{
			{Label: "overload", Bars: []picture.Bar{
				{Label: "fifo", Style: picture.Bad, Value: math.Inf(1), Ratio: math.Inf(1), Note: "22K"},
				{Label: "static cap", Style: picture.Fair, Value: .31, Ratio: 1.41, Note: "13K"},
				{Label: "outcrop", Style: picture.Good, Value: .21, Ratio: .95, Note: "18K"},
			}},
		}}}}
}

func TestThePictureIsWellFormed(t *testing.T) {
	d := xml.NewDecoder(bytes.NewReader(example().SVG()))
	elements := map[string]int{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
		}
	}
	if elements["svg"] != 1 || elements["circle"] != 3 || elements["title"] != 1 {
		t.Errorf("elements are %v", elements)
	}
	if elements["script"]+elements["image"]+elements["foreignObject"] > 0 {
		t.Errorf("the picture runs or loads something: %v", elements)
	}
}

func TestThePictureSaysWhatItShows(t *testing.T) {
	s := string(example().SVG())
	for _, want := range []string{"&lt;simulated&gt;", "310 ms, x1.41", "210 ms, x0.95", ">22K<", ">never<", "prefers-color-scheme: dark"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(s, "Inf") || strings.Contains(s, "NaN") {
		t.Error("a number is none")
	}
}
