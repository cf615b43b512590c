package gateway_test

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/capacity"
	"github.com/outcrop/outcrop/meter"
	"github.com/outcrop/outcrop/quota"
	"github.com/outcrop/outcrop/s3api"
)

// described notes the names and labels of the metrics that are registered.
type described map[string][]string

var description = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)

// Register implements prometheus.Registerer.
func (d described) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() { c.Describe(descs); close(descs) }()
	for desc := range descs {
		found := description.FindStringSubmatch(desc.String())
		d[found[1]] = strings.FieldsFunc(found[2], func(c rune) bool { return c == ',' })
	}
	return nil
}

// MustRegister implements prometheus.Registerer.
func (d described) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = d.Register(c)
	}
}

// Unregister implements prometheus.Registerer.
func (d described) Unregister(prometheus.Collector) bool { return false }

// TestTheDocumentListsEveryMetric compares docs/observing.md with what is
// registered, name by name and label by label.
func TestTheDocumentListsEveryMetric(t *testing.T) {
	limiter, err := quota.New(quota.Config{})
	if err != nil {
		t.Fatal(err)
	}
	have := described{}
	meter.NewBook(meter.NewLog(&bytes.Buffer{}, meter.JSON, slog.LevelInfo), have)
	have.MustRegister(s3api.New(s3api.Options{}).Collectors()...)
	have.MustRegister(batch.NewMetrics())
	have.MustRegister(limiter.Collector(), capacity.Collector(func() []capacity.State { return nil }))

	text, err := os.ReadFile("../docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	told := described{}
	name := regexp.MustCompile("`([a-z0-9_]+)`")
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| `outcrop_") {
			continue
		}
		columns := strings.Split(line, "|")
		metric := name.FindStringSubmatch(columns[1])[1]
		told[metric] = []string{}
		for _, label := range name.FindAllStringSubmatch(columns[3], -1) {
			told[metric] = append(told[metric], label[1])
		}
	}
	for metric, labels := range have {
		if !slices.Equal(told[metric], labels) {
			t.Errorf("%s has the labels %v, the document tells of %v", metric, labels, told[metric])
		}
	}
	for metric := range maps.Keys(told) {
		if have[metric] == nil {
			t.Errorf("the document tells of %s, which there is not", metric)
		}
	}
}
