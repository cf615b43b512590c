package fair

import (
	"time"

	"github.com/outcrop/outcrop"
)

func (p *Pool) expired(j *job) Action {
	p.dequeue(j)
	limit := j.expires - j.came
	a := p.refused(j, j.late, (p.now - j.came).Seconds(), limit.Seconds())
	p.counts[j.Class].Refused++
	p.end(j)
	return a
}

// giveUp refuses all that waits for engines which do not come.
func (p *Pool) giveUp(out []Action) []Action {
	for i := range p.classes {
		c := &p.classes[i]
		for c.queued > 0 {
			j := c.all.items[0].head()
			p.dequeue(j)
			out = append(out, p.refused(j, BoundEngines, (p.now-p.without).Seconds(), p.config.Grace.Seconds()))
			p.counts[i].Refused++
			p.end(j)
		}
	}
	return out
}

func (p *Pool) refused(j *job, b Bound, level, limit float64) Action {
	a := Action{Kind: Refuse, ID: j.ID, Wait: p.now - j.came, Bound: b, Level: level, Limit: limit}
	if b != BoundSize {
		a.Retry = p.retry(j)
	}
	return a
}

// retry is when a request like j can expect to be taken.
func (p *Pool) retry(j *job) time.Duration {
	if p.standing == 0 {
		return max(p.config.Grace, time.Second)
	}
	wait := p.wait(j)
	if b := p.bound(j); b > 0 && wait > b {
		return wait - b
	}
	one := float64(j.cost) / p.classes[j.Class].drained.rate(p.rate)
	return max(time.Millisecond, min(wait, seconds(min(one, maxSeconds))))
}

// maxSeconds keeps estimated times within what a Duration holds.
const maxSeconds = 1e8

// refusal says by which bound j is refused at once, if any.
func (p *Pool) refusal(j *job) (b Bound, level, limit float64) {
	if p.standing == 0 {
		if gone := p.now - p.without; gone >= p.config.Grace {
			return BoundEngines, gone.Seconds(), p.config.Grace.Seconds()
		}
	} else if most := p.mostMemory(); j.need() > most {
		return BoundSize, float64(j.need()), float64(most)
	}
	if j.Deadline > 0 && j.Deadline <= p.now {
		return BoundDeadline, p.now.Seconds(), j.Deadline.Seconds()
	}
	if j.Class == outcrop.ClassProvisioned {
		return 0, 0, 0
	}
	c := &p.classes[j.Class]
	if most := p.config.Queue[j.Class]; most > 0 {
		if c.queued >= most {
			return BoundQueue, float64(c.queued), float64(most)
		}
		if free := most - c.queued; j.tenant.queued >= free {
			return BoundTenant, float64(j.tenant.queued), float64(free)
		}
	}
	if bound := p.bound(j); bound > 0 && p.standing > 0 {
		if wait := p.wait(j); wait > bound {
			return BoundWait, wait.Seconds(), bound.Seconds()
		}
	}
	return 0, 0, 0
}

func (p *Pool) mostMemory() (most int) {
	for _, e := range p.engines {
		if !e.draining {
			most = max(most, e.c.KVTokens)
		}
	}
	return most
}

// wait is the expected time in the queue of j, which is not in it: the service
// that starts before it over the rates at which the queues drain. Within its
// class these are at most all, and at most what others get until the tenant
// has had what it waits for.
func (p *Pool) wait(j *job) time.Duration {
	var above Service
	for i := int(j.Class) + 1; i < outcrop.NumClasses; i++ {
		above += p.classes[i].cost
	}
	c, t := &p.classes[j.Class], j.tenant
	others := c.weight
	if t.queued == 0 {
		others += t.weight
	}
	ahead := min(float64(c.cost), float64(t.cost+j.cost)*others/t.weight)
	s := float64(above)/p.drained.rate(p.rate) + ahead/c.drained.rate(p.rate)
	return seconds(min(s, maxSeconds))
}
