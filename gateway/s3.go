package gateway

import (
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/metricsapi"
	"github.com/outcrop/outcrop/objects"
	"github.com/outcrop/outcrop/s3api"
	"github.com/outcrop/outcrop/s3store"
	"github.com/outcrop/outcrop/watchapi"
)

// openS3 sets up where objects are, and returns the door to the built-in S3;
// nil if it is switched off.
func (s *Server) openS3(registry *prometheus.Registry) *s3api.API {
	reach := objects.Options{Places: places(s.config), Region: s.config.Region}
	if !s.config.S3.Builtin {
		s.objects = objects.New(reach)
		return nil
	}
	limits := s.config.Limits
	s.s3 = s3store.New(s3store.Options{Dir: filepath.Join(s.config.Data, "s3"), Region: s.config.Region})
	reach.Builtin = s.s3
	s.objects = objects.New(reach)
	api := s3api.New(s3api.Options{Who: s.who, Store: s.s3, Region: s.config.Region, Log: s.logger,
		BodyTimeout: limits.BodyTimeout, BodyRate: int64(limits.BodyRate), WriteTimeout: limits.WriteTimeout})
	registry.MustRegister(api.Collectors()...)
	return api
}

// isS3 reports whether the request is for S3: its credentials say so, or it
// has none and nobody else serves it.
func (d *door) isS3(v *visit) bool {
	if d.s3 == nil || s3api.Addressed(v.r) {
		return d.s3 != nil
	}
	return s3api.Anonymous(v.r) && !metricsapi.Serves(v.path) && !watchapi.Serves(v.path) && !d.control.Serves(v.r.Method, v.path)
}

// places are those of the configuration's buckets.
func places(c *config.Config) []objects.Place {
	var all []objects.Place
	for _, b := range c.S3.All() {
		region := b.Region
		if region == "" {
			region = c.Region
		}
		all = append(all, objects.Place{Buckets: b.Name, Endpoint: b.Endpoint, Region: region, KeyID: b.AccessKey.Value(),
			Secret: identity.NewSecret(b.SecretKey.Value()), Token: identity.NewSecret(b.SessionToken.Value()),
			PathStyle: b.PathStyle, Accounts: b.Accounts})
	}
	return all
}

// closeS3 ends what openS3 began.
func (s *Server) closeS3() error {
	if s.objects != nil {
		s.objects.Close()
	}
	if s.s3 == nil {
		return nil
	}
	return s.s3.Close()
}
