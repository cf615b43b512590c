package s3store

import (
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"
)

// accounts implements auth.IAMService: every account there may be is there,
// and may make buckets of its own. Who may act for an account is not decided
// here.
type accounts struct{ store *Store }

// GetUserAccount implements auth.IAMService.
func (a accounts) GetUserAccount(access string) (auth.Account, error) {
	if !isAccount(access) {
		return auth.Account{}, auth.ErrNoSuchUser
	}
	return auth.Account{Access: access, Secret: a.store.Secret(access), Role: auth.RoleUserPlus}, nil
}

// ResolveAccounts implements auth.IAMService.
func (a accounts) ResolveAccounts(all []string) (missing []string, err error) {
	missing = []string{}
	for _, access := range all {
		if !isAccount(access) {
			missing = append(missing, access)
		}
	}
	return missing, nil
}

// isAccount reports whether s has the form of an account's id.
func isAccount(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) == 12
}

var errNoAdministration = s3err.GetAPIError(s3err.ErrAdminMethodNotSupported)

// CreateAccount implements auth.IAMService.
func (accounts) CreateAccount(auth.Account) error { return errNoAdministration }

// UpdateUserAccount implements auth.IAMService.
func (accounts) UpdateUserAccount(string, auth.MutableProps) error { return errNoAdministration }

// DeleteUserAccount implements auth.IAMService.
func (accounts) DeleteUserAccount(string) error { return errNoAdministration }

// ListUserAccounts implements auth.IAMService.
func (accounts) ListUserAccounts() ([]auth.Account, error) { return nil, errNoAdministration }

// Shutdown implements auth.IAMService.
func (accounts) Shutdown() error { return nil }
