package gateway

import (
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outcrop/outcrop/metricsapi"
	"github.com/outcrop/outcrop/s3api"
	"github.com/outcrop/outcrop/s3store"
	"github.com/outcrop/outcrop/watchapi"
)

// openS3 returns the door to the built-in S3; nil if it is switched off.
func (s *Server) openS3(registry *prometheus.Registry) *s3api.API {
	if !s.config.S3.Builtin {
		return nil
	}
	limits := s.config.Limits
	s.s3 = s3store.New(s3store.Options{Dir: filepath.Join(s.config.Data, "s3"), Region: s.config.Region})
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
