package upstream

// For tests of the guard, which no connection of a test can reach.
var (
	CheckAddress = checkAddress
	IsLocalName  = isLocalName
)
