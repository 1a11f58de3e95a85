// Package volumes keeps named and anonymous volumes: folders with a record beside them. It knows no pods; who uses a volume
// is the caller's business.
package volumes

import "podc.example/podc/api"

// Volume is one volume. Its data is the folder _data beside the record.
type Volume = api.Volume
