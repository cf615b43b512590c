package explain

import "unsafe"

// EntryBytes is the size of a record as it is kept, without its id.
const EntryBytes = int(unsafe.Sizeof(entry{}))
