package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/outcrop/outcrop/bench/child"
)

// interrupted runs a job of n records during which the server is killed so many
// times, and returns the line of the table: that each record is in the output
// once, and how many were run again. Those are counted by the server's metrics
// at the moment before the kill, which may miss what it runs after that.
func interrupted(program string, n, kills int) (line string, err error) {
	folder, err := os.MkdirTemp("", "outcrop-bench-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	server, err := serve(program, folder)
	if err != nil {
		return "", err
	}
	defer func() { server.Stop() }()
	if err := upload("http://"+server.Addr, folder, n); err != nil {
		return "", err
	}
	began := time.Now()
	id, err := create("http://" + server.Addr)
	if err != nil {
		return "", err
	}
	sum, most := 0, 0
	for k := range kills {
		lost, err := kill(server, id, (k+1)*n/(kills+1))
		if err != nil {
			return "", err
		}
		sum, most = sum+lost, max(most, lost)
		if server, err = serve(program, folder); err != nil {
			return "", err
		}
	}
	if err := wait("http://"+server.Addr, id, n); err != nil {
		return "", err
	}
	took := time.Since(began)
	if err := once(filepath.Join(folder, "data", "s3", "bench-batch", "out", id, "a.jsonl.out"), n); err != nil {
		return "", err
	}
	return fmt.Sprintf("| %d | %d | %.1f | each once | %d | %d |\n", n, kills, took.Seconds(), sum/max(kills, 1), most), nil
}

// kill kills the server a random moment after so many records are done, and
// returns how many had been answered by it that are not written down.
func kill(s *child.Server, id string, done int) (lost int, err error) {
	for {
		var j view
		if err := ask("GET", "http://"+s.Addr+"/model-invocation-job/"+id, "", &j); err != nil {
			return 0, err
		}
		if j.ProcessedRecordCount >= done {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(rand.N(time.Second))
	answered, written, err := counters(s.Addr)
	s.Kill()
	return answered - written, err
}

var (
	answers = regexp.MustCompile(`(?m)^outcrop_requests_total\{.*outcome="ok".*\} (\S+)$`)
	writes  = regexp.MustCompile(`(?m)^outcrop_batch_records_total\{.*\} (\S+)$`)
)

// counters returns how many records the server has answered since its start, and
// how many it has written down.
func counters(addr string) (answered, written int, err error) {
	page, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = page.Body.Close() }()
	text, err := io.ReadAll(page.Body)
	if err != nil {
		return 0, 0, err
	}
	return total(answers, text), total(writes, text), nil
}

func total(of *regexp.Regexp, text []byte) (n int) {
	for _, m := range of.FindAllSubmatch(text, -1) {
		v, _ := strconv.ParseFloat(string(m[1]), 64) // what it prints is a number
		n += int(v)
	}
	return n
}

var recordID = regexp.MustCompile(`^\{"recordId":"(\d+)",.*"modelOutput":`)

// once checks that the output has an answer to each of n records, once.
func once(path string, n int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	seen, count := make([]bool, n), 0
	for lines := bufio.NewReader(f); ; count++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil {
			return err
		}
		m := recordID.FindSubmatch(line)
		if m == nil || !bytes.HasSuffix(line, []byte("}\n")) {
			return fmt.Errorf("line %d of the output is no answer", count+1)
		}
		i, err := strconv.Atoi(string(m[1]))
		if err != nil || i >= n || seen[i] {
			return fmt.Errorf("record %s is twice in the output, or was not asked for", m[1])
		}
		seen[i] = true
	}
	if count != n {
		return fmt.Errorf("%d of %d records are in the output", count, n)
	}
	return nil
}
