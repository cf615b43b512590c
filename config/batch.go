package config

// Batch says how batch jobs are kept and run.
type Batch struct {
	// Where jobs are kept: a postgres:// address that servers may share. Without it a file in the data folder.
	Database Secret `yaml:"database" since:"0.3" aka:"database_url dsn postgres"`
	// Chunks of records of one model that are worked on at a time.
	Chunks int `yaml:"chunks" default:"4" min:"1" max:"100" since:"0.3" aka:"workers"`
	// Records of one chunk that are with the scheduler at a time.
	Concurrency int `yaml:"concurrency" default:"64" min:"1" max:"10k" since:"0.3"`
	// Fewest records of a job; AWS takes 100 or more. Jobs with less fail.
	MinimumRecords int `yaml:"minimum_records" default:"0" max:"1M" since:"0.3" aka:"min_records"`
	// Most records of a job; 0 sets no bound. AWS has 50k or 100k by model.
	MaximumRecords int `yaml:"maximum_records" default:"0" max:"1G" since:"0.3" aka:"max_records"`
	// Tokens that the records of one account's jobs may take that wait or run at a time, as estimated from their size; 0 sets no bound. Jobs above it fail.
	EnqueuedTokens int `yaml:"enqueued_tokens" default:"0" max:"1000G" since:"0.3"`
	// Address to which changes of a job's status are posted, in the shape of EventBridge.
	Webhook string `yaml:"webhook" form:"url" since:"0.3" aka:"webhook_url event_url"`
}
