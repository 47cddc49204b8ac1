package rule

// Fact names a number that the process knows of itself, of a proxy or of a server, for Env.Fact.
type Fact uint8

// The facts: of the process; of the proxy named; of the server named. Rates count the last second.
const (
	FactActConn  Fact = iota // connections of the process
	FactUptime               // milliseconds since the process started
	FactStopping             // 1 during a soft stop
	FactThreads              // threads that run at a time

	FactBackendID
	FactBackendConn     // sessions
	FactBackendConnFree // connections its usable servers still take; -1 when one has no limit
	FactBackendSessRate
	FactBackendQueue    // requests that wait, for the backend and for its servers
	FactBackendAvgQueue // per usable server
	FactBackendSlots    // free connections and places in queues of all servers; -1 when one has no limit

	FactFrontendID
	FactFrontendConn // connections
	FactFrontendReqRate
	FactFrontendSessRate

	FactBindConn // connections of the bind line named in the server's place

	FactServerID
	FactServerConn     // requests
	FactServerConnFree // -1: no limit
	FactServerQueue
	FactServerSessRate
	FactServerInitialWeight // of the configuration
	FactServerUserWeight    // as set last
	FactServerWeight        // in force
)
