package sched

// Config holds the scheduler's constants. DefaultConfig's values are explained,
// with the experiments behind them, in DESIGN.md.
type Config struct {
	Seed uint32 // per viewer: breaks ties differently in each

	MarginMs          int64 // a rescue is planned to end this long before the deadline
	StaggerMs         int64 // soft deadlines spread over at most this long
	ProgressMs        int64 // a neighbour that owes leaves and sends none for this long has timed out
	BusyBackoffMs     int64 // a neighbour that refused as busy is left alone this long at most
	LonelyGraceMs     int64 // with no neighbour yet, prefetching waits this long after start for one
	GainIntervalMs    int64 // gains are gathered at most this long before they are announced
	PipelineMs        int64 // requests in flight to a neighbour cover about this long at its rate
	QueueMs           int64 // longer than this, an upload queue refuses
	MaxFetches        int   // CDN requests at once
	UploadBytesPerSec int64 // cap; 0: none. Until the first Cap
	NoUpload          bool  // announce nothing, serve nothing (no consent, metered link)
}

// TickMs is the interval at which the shell must send a Tick.
const TickMs = 50

// DefaultConfig returns the constants that ship.
func DefaultConfig(seed uint32) Config {
	return Config{
		Seed:           seed,
		MarginMs:       500,
		StaggerMs:      1500,
		ProgressMs:     1000,
		BusyBackoffMs:  400,
		LonelyGraceMs:  2000,
		GainIntervalMs: 30,
		PipelineMs:     500,
		QueueMs:        300,
		MaxFetches:     4,
	}
}

const (
	leafSize = 16384

	minWindow, maxWindow = 2, 16 // leaves in flight to one neighbour

	initialLeafUs          = 62_500    // for a leaf from a new neighbour: 256 KiB/s
	initialCDNLeafUs       = 31_250    // 512 KiB/s
	initialCDNWait         = 100       // ms to the first byte
	minLeafUs              = 156       // 100 MiB/s; above it measurements are noise
	maxLeafUs              = 4_000_000 // 4 KiB/s; keeps estimates finite
	minRate, maxRate       = 4 << 10, 100 << 20
	manyHolders            = 1 << 12      // more are not told apart
	waitShare              = 4            // of the time there was the CDN's wait is counted as, at most
	marginShare            = 10           // of the time there was is margin, at most
	staggerShare           = 3            // of the time to the hard deadline soft ones are spread over, at most
	satedShare             = 4            // of that, those who do their share already
	standBackShare         = 3            // of the time to the hard deadline others are waited for
	aloneMost              = 4            // in the end one object of 2⁴ is left to others
	backoffShare           = 8            // of the time left is waited after a refusal as busy
	backoffLeastMs         = 50           // and at least this
	advanceMs              = 150          // longer than usual, what was asked in advance may take
	ampleHalves            = 5            // a line that carries so many halves of what is played has room to spare
	usualWaitMs            = 150          // the CDN's wait, of which nothing is to be had
	maxParked              = 3            // neighbours that wait for one piece that is on its way to us
	lineLeast              = 8 * leafSize // may be owed to us on any line
	maxSpare               = 4            // objects whose memory is kept for the next
	neighbourSlab          = 12           // neighbours that are made at once
	hedgeMs                = 100          // a leaf this long past due is hedged
	cdnSampleBytes         = 8 * leafSize // smaller fetches tell the wait, larger ones the rate
	cdnBackoffMs           = 250
	objectBackoffDoublings = 5 // up to 8 s for an object that the CDN does not have
	cdnBackoffDoublings    = 2 // at most 1 s: well below the time that a deadline leaves
	cdnWaitMaxMs           = 2000
	uplinkSampleMs         = 250
	uplinkBusyBytes        = 2 * leafSize
	crawlBusyBytes         = leafSize // likewise, where that would be seconds
	uplinkHopeMs           = 10000    // an estimate that lets us offer nothing rises an eighth in this time
	staleUploadMs          = 1500     // a request that waited this long was asked elsewhere
	assumedUplink          = 1280 << 10
	hopedUplink            = 512 << 10 // before it has carried a leaf in time
	untriedMs              = 10000     // after so long an uplink that nobody asked is taken for a good one
	startMs                = 4000      // so long we may be occupied with ourselves
	trialPatience          = 3         // so often ProgressMs a leaf may take to show a slow uplink
	trialsSlow             = 2         // so many that took more than once that show one
	trialsLost             = 3         // so many of which nothing arrived, too
	trialObjects           = 3         // the newest, of which who is to ask for a leaf hears at once
	trialAgainMs           = 4000      // times 4 after a trial that failed, times 16 after two, and so on
	trialDoublings         = 8         // up to 17 minutes
	bufferUnknown          = 48 << 10  // bytes in all send buffers while the uplink is not known
	bufferMs               = 200       // send buffers hold about this long of uplink
	maxQueue               = 512       // uploads queued in all
	gatherShare            = 32        // of the time left is spent on gathering gains
	gatherMaxMs            = 240
	easyMs                 = 2500 // with more slack than this the first gain waits, too,
	easeShare, easeMaxMs   = 4, 400
	slackMaxMs             = 8000
	calmUs                 = 1500 // ticks of an idle machine are later than this at times, but not on average
	busyFactor             = 200  // ms that the first gain waits for each ms beyond,
	busyMaxMs              = 1000 // at most, and at most this share of the time that is left:
	busyShare              = 4
	lateTicks              = 128  // the average is of about so many ticks
	asleepMs               = 1000 // later than this is not the processor's doing
	busyStrikes            = 3    // refusals as busy in a row, after which the wait doubles each time
	busyDoublings          = 4    // up to 16 times
	stallStrikes           = 5    // time-outs in a row
	lieStrikes             = 8    // leaves announced, then not held
	intruderStrikes        = 64   // leaves that nobody asked for
	askStrikes             = 512  // requests beyond what anybody may be owed
)
