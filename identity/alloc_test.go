//go:build !race

package identity_test

import (
	"testing"

	"github.com/outcrop/outcrop/identity"
)

// TestAuthenticationAllocatesNothing is not for the race detector, under which
// pools forget.
func TestAuthenticationAllocatesNothing(t *testing.T) {
	a := keyed()
	for name, r := range map[string]*identity.Request{"signature": signed(signer()), "API key": bearer(token)} {
		allocs := testing.AllocsPerRun(200, func() {
			if _, err := a.Authenticate(r, body, noon); err != nil {
				t.Fatal(err)
			}
		})
		if allocs > 1 { // a pool may be emptied meanwhile
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}
