package builder

import (
	"context"
	"time"

	"github.com/moby/buildkit/client"
	"golang.org/x/sys/unix"
)

// What a builder keeps, so that the next build need not do it again, is bounded by itself.
const (
	leastCache = 2 << 30  // bytes that are always allowed
	mostCache  = 20 << 30 // bytes, or a tenth of the disk if that is less
	trimTime   = 20 * time.Second
)

// policy says what of the cache of data goes first: contexts and cache mounts that nobody used for two days, then the oldest.
func policy(data string) []client.PruneInfo {
	most, free := int64(mostCache), int64(0)
	var st unix.Statfs_t
	if unix.Statfs(data, &st) == nil {
		size := int64(st.Blocks) * st.Bsize
		most, free = max(leastCache, min(most, size/10)), size/20
	}
	return []client.PruneInfo{
		{Filter: []string{"type==source.local", "type==exec.cachemount", "type==source.git.checkout"}, KeepDuration: 48 * time.Hour, MaxUsedSpace: leastCache / 4},
		{MaxUsedSpace: most, MinFreeSpace: free, ReservedSpace: leastCache},
		{All: true, MaxUsedSpace: most, MinFreeSpace: free, ReservedSpace: leastCache},
	}
}

// Trim removes what the cache has too much of. What it cannot remove, or has no time for, is left to the next time.
func (b *Builder) Trim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, trimTime)
	defer cancel()
	gone := make(chan client.UsageInfo)
	defer close(gone)
	go func() {
		for range gone {
		}
	}()
	return b.worker.Prune(ctx, gone, b.worker.GCPolicy()...)
}
