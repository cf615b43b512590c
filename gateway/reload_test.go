package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/outcroptest"
)

func TestReloadSwapsTheModels(t *testing.T) {
	first, second := saying(t, openAIAnswer, "the first"), saying(t, openAIAnswer, "the second")
	h := start(t, withEngines("my.model", "{url: '"+first.URL+"', model: m, name: a}"))
	client := newClient(t, &http.Transport{})
	if r := h.ask(t, client, "POST", "/model/my.model/converse", hello); !strings.Contains(r.body, "the first") {
		t.Fatalf("%d %s", r.status, r.body)
	}
	changes, err := h.Reload(loadAt(t, withEngines("my.model", "{url: '"+second.URL+"', model: m, name: a}")+"compat: strict\n", h.data))
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(changes, "\n"); !strings.Contains(all, "compat") || !strings.Contains(all, second.URL) {
		t.Errorf("the changes are %q", changes)
	}
	if r := h.ask(t, client, "POST", "/model/my.model/converse", hello); !strings.Contains(r.body, "the second") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if _, err := h.Reload(loadAt(t, withEngines("other.model", "{kind: sim}"), h.data)); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]int{"my.model": 400, "other.model": 200} {
		if r := h.ask(t, client, "POST", "/model/"+id+"/converse", hello); r.status != want {
			t.Errorf("%s: %d %s", id, r.status, r.body)
		}
	}
	if r := h.ask(t, client, "GET", "/foundation-models", ""); !strings.Contains(r.body, "other.model") || strings.Contains(r.body, "my.model") {
		t.Errorf("the catalogue is %s", r.body)
	}
}

func TestReloadSwapsTheStrictness(t *testing.T) {
	const lacking = `{"messages":[{"role":"user","content":"Hello"}]}`
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	for _, c := range []struct {
		yaml string
		want int
	}{{"compat: lenient\n", 200}, {"compat: strict\n", 400}, {"", 200}} {
		if _, err := h.Reload(loadAt(t, fast+c.yaml, h.data)); err != nil {
			t.Fatal(err)
		}
		if r := h.ask(t, client, "POST", haikuPath+"/invoke", lacking); r.status != c.want {
			t.Errorf("%q: %d %s", c.yaml, r.status, r.body)
		}
	}
}

func TestReloadRefusesWhatNeedsARestart(t *testing.T) {
	h := start(t, fast+"models: [{id: my.model, engines: [{kind: sim}]}]\n")
	for key, yaml := range map[string]string{
		"listen": "listen: 127.0.0.1:1\nsim: {speed: 0}\n", "region": fast + "region: eu-west-1\n", "account": fast + "account: '111122223333'\n",
		"keys": fast + "keys: required\n", "limits.body": fast + "limits: {body: 1MB}\n", "limits.connections": fast + "limits: {connections: 7}\n",
		"hosts": fast + "hosts: [a.example]\n", "log.level": fast + "log: {level: error}\n",
	} {
		_, err := h.Reload(loadAt(t, yaml+"models: [{id: new.model, engines: [{kind: sim}]}]\n", h.data))
		if err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "restart") {
			t.Errorf("%s: %v", key, err)
		}
	}
	client := newClient(t, &http.Transport{})
	for id, want := range map[string]int{"my.model": 200, "new.model": 400} {
		if r := h.ask(t, client, "POST", "/model/"+id+"/converse", hello); r.status != want {
			t.Errorf("%s: %d %s", id, r.status, r.body)
		}
	}
}

func TestReloadIsAllOrNothing(t *testing.T) {
	h := start(t, withEngines("my.model", "{kind: sim}"))
	bad := loadAt(t, fast+"models: [{id: new.model, engines: [{kind: sim}]}, {id: bad.model, engines: [{kind: sim}]}]\n", h.data)
	bad.Models[1].Engines[0].Kind = "nonsense"
	if _, err := h.Reload(bad); err == nil || !strings.Contains(err.Error(), "bad.model") {
		t.Errorf("%v", err)
	}
	client := newClient(t, &http.Transport{})
	for id, want := range map[string]int{"my.model": 200, "new.model": 400} {
		if r := h.ask(t, client, "POST", "/model/"+id+"/converse", hello); r.status != want {
			t.Errorf("%s: %d %s", id, r.status, r.body)
		}
	}
}

func TestWhatIsInFlightEndsOnTheOldConfiguration(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	engine := outcroptest.NewEngine(t, func(outcroptest.Call) outcroptest.Reply {
		close(asked)
		<-answer
		return outcroptest.Reply{Body: []byte(strings.Replace(openAIAnswer, "%s", "late but well", 1)), Header: http.Header{"Content-Type": {"application/json"}}}
	})
	h := start(t, withEngines("my.model", "{url: '"+engine.URL+"', model: m}"))
	client := newClient(t, &http.Transport{})
	done := make(chan reply, 1)
	go func() { done <- h.ask(t, client, "POST", "/model/my.model/converse", hello) }()
	<-asked
	if _, err := h.Reload(loadAt(t, withEngines("other.model", "{kind: sim}"), h.data)); err != nil {
		t.Error(err)
	}
	if r := h.ask(t, client, "POST", "/model/my.model/converse", hello); r.status != 400 {
		t.Errorf("after the reload: %d", r.status)
	}
	close(answer)
	if r := <-done; r.status != 200 || !strings.Contains(r.body, "late but well") {
		t.Errorf("in flight: %d %s", r.status, r.body)
	}
}

func TestReloadsWhileCallsRun(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := h.Reload(loadAt(t, fast, h.data)); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 50 {
		if r := h.ask(t, client, "POST", conversePath, hello); r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
