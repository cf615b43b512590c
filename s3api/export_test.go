package s3api

import "net/http"

// ActionsOf returns the actions of a request, and whether its body is data.
func ActionsOf(r *http.Request) ([]string, bool, error) {
	x := &exchange{r: r}
	err := x.parse()
	return x.op.actions, x.op.data, err
}
