package fair

// A recent remembers the prefixes that an engine was handed last: one of the
// latest maxRecent is forgotten only if more of them than a set has places have
// come to the same set, which happens to one in some thousands. To add one, or
// to look for it, takes one line of the processor's cache.
type recent struct {
	sets  *[recentSets][recentPlaces]seen // nil before the first
	added uint32                          // counts from maxRecent, and wraps
}

const (
	maxRecent    = 4096
	recentSets   = 2048
	recentPlaces = 8
)

// A seen is the hash of a prefix, and the number of when it was added last. One
// that is zero is too old.
type seen struct{ hash, at uint32 }

// where returns in which set a prefix is, and as what.
func (r *recent) where(prefix uint64) (set *[recentPlaces]seen, hash uint32) {
	mixed := prefix * 0x9e3779b97f4a7c15 // so that prefixes that differ little are apart
	return &r.sets[mixed>>53], uint32(mixed >> 21)
}

func (r *recent) has(prefix uint64) bool {
	if r.sets == nil {
		return false
	}
	set, hash := r.where(prefix)
	for i := range set {
		if set[i].hash == hash && r.added-set[i].at < maxRecent {
			return true
		}
	}
	return false
}

func (r *recent) add(prefix uint64) {
	if prefix == 0 {
		return
	}
	if r.sets == nil {
		r.sets, r.added = new([recentSets][recentPlaces]seen), maxRecent
	}
	r.added++
	set, hash := r.where(prefix)
	oldest := &set[0]
	for i := range set {
		s := &set[i]
		if s.hash == hash {
			oldest = s
			break
		}
		if r.added-s.at > r.added-oldest.at {
			oldest = s
		}
	}
	*oldest = seen{hash, r.added}
}
