package fair

import (
	"fmt"
	"time"

	"github.com/outcrop/outcrop"
)

// A need is what the requests that must hurry are guaranteed, and what of it is
// saved.
type need struct {
	rate    float64 // requests a second
	queued  int     // those that wait
	cost    Service // of these
	credit  Service
	started Service // before their turn
}

// Need tells how many requests a second must start of those that Hurry, so that
// they are done in time: how batch meets its deadlines. While some wait they
// are given that, whatever others want, but no more than Config.MostNeed of the
// pool's service. A rate that is not positive and finite means none.
func (p *Pool) Need(now time.Duration, perSecond float64, out []Action) []Action {
	out = p.advance(now, out)
	if !(perSecond > 0) || perSecond > maxSeconds {
		perSecond = 0
	}
	p.need.rate = perSecond
	return p.run(out)
}

func (n *need) add(j *job) {
	if j.Hurry {
		n.queued++
		n.cost += j.cost
	}
}

func (n *need) take(j *job) {
	if !j.Hurry {
		return
	}
	n.queued--
	n.cost -= j.cost
	if n.queued == 0 {
		n.cost, n.credit = 0, 0
	}
}

// pay has j, which starts, cost what is saved, and what can be owed.
func (n *need) pay(j *job, most Service) {
	j.paid = 0
	if j.Hurry && n.queued > 0 {
		j.paid = min(j.cost, max(0, n.credit+most))
		n.credit -= j.paid
	}
}

// refund gives back what j paid, which comes back.
func (n *need) refund(j *job) {
	if n.queued > 0 {
		n.credit += j.paid
	}
	j.paid = 0
}

// needRate is what is guaranteed now, in service tokens a second: so many
// requests of the mean cost of those that wait.
func (p *Pool) needRate() float64 {
	if p.need.queued == 0 {
		return 0
	}
	mean := float64(p.need.cost) / float64(p.need.queued)
	return min(p.need.rate*mean, p.config.MostNeed*p.drained.rate(p.rate))
}

// needBurst is the most that is saved, and owed: ten seconds' worth.
func (p *Pool) needBurst() Service { return Service(10 * p.needRate()) }

// save adds what so many seconds bring to what is saved: for ten seconds, or for
// the next request if that is longer.
func (p *Pool) save(seconds float64) {
	if p.need.rate <= 0 || p.need.queued == 0 || p.standing == 0 {
		return
	}
	most := max(p.needBurst(), p.nextHurried().cost)
	p.need.credit = min(p.need.credit+Service(p.needRate()*seconds), most)
}

// needDue reports whether the next of those that must hurry is paid for.
func (p *Pool) needDue() bool {
	return p.need.rate > 0 && p.need.queued > 0 && p.need.credit >= p.nextHurried().cost
}

// needComes reports whether what is due to those that must hurry comes before
// all that waits.
func (p *Pool) needComes() bool {
	return p.classes[outcrop.ClassProvisioned].queued == 0 && p.needDue()
}

// nextHurried returns the next request of those that must hurry, of the highest
// class; nil if none waits.
func (p *Pool) nextHurried() *job {
	for i := outcrop.NumClasses - 1; i >= 0; i-- {
		if t, ok := p.classes[i].hurried.top(); ok {
			return t.next(hurried)
		}
	}
	return nil
}

// A NeedState is what is guaranteed to the requests that must hurry.
type NeedState struct {
	Told    float64 // requests a second, as Need was told
	Queued  int     // that wait
	Rate    float64 // service tokens a second that they are given while they wait
	Credit  Service // saved of it
	Started Service // what those cost that were started before their turn
}

// checkNeed looks at the sums, and for an engine that would take the request
// that is paid for.
func (p *Pool) checkNeed() error {
	queued, cost := 0, Service(0)
	for _, j := range p.jobs {
		if j.Hurry && j.engine == nil {
			queued++
			cost += j.cost
		}
	}
	if queued != p.need.queued || cost > p.need.cost+1 || p.need.cost > cost+1 {
		return fmt.Errorf("%d that hurry of %d, cost %v of %v", p.need.queued, queued, p.need.cost, cost)
	}
	if !p.needComes() {
		return nil
	}
	for i := range p.classes {
		if p.floorDue(i) {
			return nil
		}
	}
	j := p.nextHurried()
	if e := p.choose(j, byNeed); e != nil {
		return fmt.Errorf("engine %d is open for request %d, which must hurry", e.id, j.ID)
	}
	return nil
}
