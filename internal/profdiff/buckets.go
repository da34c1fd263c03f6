package profdiff

import (
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// group is the symbols of one runtime that fall into one bucket. A symbol that ends in * is a beginning; any other is
// a whole name, with the closures inside it (.func1) where the language is Go.
//
// The rule for the tables: a function belongs here when how often it runs depends on the machine's timing or on what
// ran before the window, not on the request. What a request calls a fixed number of times stays the service's, so that
// one more of it is seen: system calls, starting a goroutine, memmove, maps, time.Now.
type group struct {
	bucket  string
	symbols []string
}

func goTable() []group {
	return []group{
		{result.BucketScheduler, []string{
			// Looking for work and sleeping until there is some.
			"runtime.schedule", "runtime.findRunnable", "runtime.stealWork", "runtime.runqget", "runtime.runqgrab",
			"runtime.runqsteal", "runtime.runqput", "runtime.runqputslow", "runtime.runqputbatch", "runtime.globrunqgetbatch",
			"runtime.checkRunqsNoP", "runtime.checkTimersNoP", "runtime.checkIdleGCNoP", "runtime.pollWork",
			"runtime.(*m).clearAllpSnapshot", "runtime.(*m).snapshotAllp", "runtime.mspinning", "runtime.resetspinning",
			"runtime.execute", "runtime.injectglist", "runtime.netpoll", "runtime.netpollready", "runtime.netpollgoready",
			"runtime.netpollBreak", "internal/runtime/syscall/linux.EpollWait",
			// Goroutines that stop and go on: whether a read finds its bytes or waits for them is a matter of timing.
			"runtime.gopark", "runtime.park_m", "runtime.mcall", "runtime.gogo", "runtime.goready", "runtime.ready",
			"runtime.goschedImpl", "runtime.gosched_m", "runtime.goyield_m", "runtime.netpollblock",
			"runtime.netpollblockcommit", "internal/poll.runtime_pollWait", "internal/poll.(*pollDesc).wait*", "runtime.casgstatus", "runtime.castogscanstatus", "runtime.casfrom_Gscanstatus",
			// Threads and processors handed about.
			"runtime.startm", "runtime.stopm", "runtime.handoffp", "runtime.wakep", "runtime.mput", "runtime.mget",
			"runtime.mPark", "runtime.pidleget", "runtime.pidlegetSpinning", "runtime.pidleput", "runtime.acquirep",
			"runtime.acquirepNoTrace", "runtime.releasep", "runtime.releasepNoTrace", "runtime.wirep",
			"runtime.checkdead", "runtime.incidlelocked", "runtime.newm", "runtime.newm1", "runtime.stoplockedm",
			"runtime.startlockedm", "runtime.mstart1", "runtime.minitSignalMask", "runtime.exitsyscallTryGetP",
			"runtime.exitsyscallNoP", "runtime.entersyscallWakeSysmon", "runtime.setBlockOnExitSyscall",
			// The watcher, which runs by the clock.
			"runtime.sysmon", "runtime.retake", "runtime.preemptone", "runtime.timeSleepUntil", "runtime.usleep",
			// Locks of the runtime itself, and how it waits for them.
			"runtime.lock", "runtime.lock2", "runtime.unlock", "runtime.unlock2", "runtime.unlock2Wake", "runtime.osyield",
			"runtime.procyield", "runtime.procyieldAsm", "runtime.futex", "runtime.futexsleep", "runtime.futexwakeup",
			"runtime.notesleep", "runtime.notetsleep", "runtime.notetsleep_internal", "runtime.notetsleepg",
			"runtime.notewakeup", "runtime.(*mLockProfile).*",
			// Timers as the scheduler sees them, and its clock. A service's own timers are made by (*timer).modify.
			"runtime.(*timers).*", "runtime.(*timer).updateHeap", "runtime.nanotime1",
		}},
		{result.BucketCollector, []string{
			// Cycles: their start, marking, sweeping and end. runtime.gc* has gcStart, gcDrain, gcAssistAlloc,
			// gcWriteBarrier1…8, gcTrigger.test and gcmarknewobject; the assembler's own part has no package.
			"runtime.gc*", "gcWriteBarrier", "runtime.wbBufFlush*", "runtime.(*wbBuf).*", "runtime.bulkBarrier*",
			"runtime.markroot*", "runtime.scan*", "internal/runtime/gc/scan.*", "runtime.greyobject", "runtime.findObject",
			"runtime.tryDeferToSpanScan", "runtime.typePointers.*", "runtime.(*gcWork).*",
			"runtime.(*gcControllerState).*", "runtime.(*gcCPULimiterState).*", "runtime.(*limiterEvent).*",
			"runtime.(*spanQueue).*", "runtime.(*spanSPMC).*", "runtime.newSpanSPMC", "runtime.freeDeadSpanSPMCs",
			"runtime.(*spanInlineMarkBits).*", "runtime.(*mspan).moveInlineMarks", "runtime.(*mspan).typePointers*",
			"runtime.(*mspan).heapBits*", "runtime.(*stackScanState).*", "runtime.getempty", "runtime.putempty",
			"runtime.putfull", "runtime.trygetfull", "runtime.handoff", "runtime.(*lfstack).*",
			"runtime.deductAssistCredit", "runtime.deductSweepCredit", "runtime.sweep*", "runtime.bgsweep",
			"runtime.(*sweep*", "runtime.(*activeSweep).*", "runtime.(*mspan).ensureSwept", "runtime.finishsweep_m",
			"runtime.(*mheap).nextSpanForSweep", "runtime.(*mheap).reclaim*", "runtime.stopTheWorld*",
			"runtime.startTheWorld*", "runtime.suspendG", "runtime.resumeG",
			"runtime.forEachP*", "runtime.clearpools", "sync.poolCleanup", "runtime.(*mcache).prepareForSweep", "runtime.flushmcache", "runtime.prepareFreeWorkbufs",
			"runtime.freeSomeWbufs", "runtime.shrinkstack", "runtime.forcegchelper", "runtime.runFinalizers",
			"runtime.bgscavenge", "runtime.(*scavengerState).*", "runtime.(*pageAlloc).scavenge*",
			// Caches that a call site fills by chance, one call in some hundred: what they cost depends on the past.
			"runtime.typeAssert", "runtime.interfaceSwitch", "runtime.buildTypeAssertCache",
			"runtime.buildInterfaceSwitchCache", "runtime.getitab", "runtime.(*itabTableType).*", "runtime.itabAdd",
			"runtime.itabInit", "runtime.assertE2I", "runtime.assertE2I2",
		}},
		{result.BucketAllocator, []string{
			// The entry points (mallocgc…), then caches, spans, pages and stacks below them.
			"runtime.mallocgc*", "runtime.newobject", "runtime.newarray", "runtime.makeslice", "runtime.makeslicecopy",
			"runtime.growslice", "internal/runtime/maps.newarray", "internal/runtime/maps.newobject",
			"runtime.postMallocgcDebug", "runtime.preMallocgcDebug", "runtime.mProf_Malloc", "runtime.profilealloc",
			"runtime.nextHeapRandBits", "runtime.(*mcache).*", "runtime.(*mcentral).*", "runtime.(*mheap).*",
			"runtime.(*mspan).writeHeapBitsSmall", "runtime.(*mspan).nextFreeIndex", "runtime.(*mspan).refillAllocCache",
			"runtime.(*mspan).init*", "runtime.(*mSpanList).*", "runtime.(*spanSet).*", "runtime.(*spanSetBlockAlloc).*",
			"runtime.newMarkBits", "runtime.(*pageAlloc).*", "runtime.(*pageCache).*", "runtime.(*pageBits).*",
			"runtime.(*pallocBits).*", "runtime.(*pallocData).*", "runtime.mergeSummaries", "runtime.(*scavengeIndex).*",
			"runtime.(*scavChunkData).*", "runtime.(*fixalloc).*", "runtime.(*linearAlloc).*", "runtime.persistentalloc*",
			"runtime.(*consistentHeapStats).*", "runtime.(*sysMemStat).*", "runtime.sysAlloc", "runtime.sysMap",
			"runtime.sysUsed", "runtime.sysUnused", "runtime.mmap", "runtime.madvise", "runtime.stackalloc",
			"runtime.stackfree", "runtime.stackcacherefill", "runtime.stackcacherelease", "runtime.stackpoolalloc",
			"runtime.stackpoolfree", "runtime.copystack", "runtime.newstack", "runtime.adjust*",
		}},
	}
}

// rustTable has names without their < and >: <a::B>::c is a::B::c (see plainPath).
func rustTable() []group {
	return []group{
		{result.BucketScheduler, []string{
			// A tokio worker's loop and the ways in which it parks.
			"tokio::runtime::scheduler::multi_thread::worker::run",
			"tokio::runtime::scheduler::multi_thread::worker::Context::run",
			"tokio::runtime::scheduler::multi_thread::worker::Context::park*",
			"tokio::runtime::scheduler::multi_thread::worker::Core::maintenance",
			"tokio::runtime::scheduler::multi_thread::worker::Core::transition_*",
			"tokio::runtime::scheduler::multi_thread::worker::Core::steal_work",
			"tokio::runtime::scheduler::multi_thread::park::*", "tokio::runtime::scheduler::multi_thread::idle::*",
			"tokio::runtime::scheduler::current_thread::Context::park*", "tokio::runtime::park::*",
			// The drivers that it parks in: readiness, time, signals.
			"tokio::runtime::driver::*", "tokio::runtime::io::driver::Driver::*", "tokio::runtime::signal::Driver::*",
			"tokio::runtime::time::Driver::*", "tokio::runtime::time::handle::Handle::process*",
			"tokio::runtime::time::impl tokio::runtime::time::handle::Handle::process*", "tokio::runtime::time::wheel::Wheel::poll",
			"mio::poll::Poll::poll", "mio::sys::unix::selector::*", "epoll_wait", "epoll_pwait",
			// Threads that wait for each other.
			"parking_lot_core::*", "parking_lot::condvar::*", "std::sys::sync::*", "std::sys::pal::unix::futex::*",
			"std::sys::futex::*", "std::thread::park*", "syscall", "sched_yield",
		}},
		{result.BucketAllocator, []string{
			// Rust's own doors, then glibc's malloc, whose arenas and bins remember what ran before.
			"__rustc::__rust_alloc*", "__rustc::__rust_dealloc", "__rustc::__rust_realloc", "__rustc::__rust_no_alloc_shim*",
			"__rustc::__rdl_*", "__rustc::__rg_*", "__rust_alloc*", "__rust_dealloc", "__rust_realloc",
			"__rust_no_alloc_shim*", "__rdl_*", "__rg_*",
			"malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc", "memalign", "_int_malloc", "_int_free*",
			"_int_realloc", "_int_memalign", "_mid_memalign", "malloc_consolidate", "unlink_chunk*", "sysmalloc*", "systrim*",
			"tcache_*", "malloc_hook_ini", "arena_get*", "ptmalloc_init", "__libc_malloc", "__libc_calloc", "__libc_realloc",
			"__libc_free", "cfree", "alloc_perturb", "heap_trim*", "grow_heap", "new_heap", "munmap_chunk", "mremap_chunk", "sbrk",
			"brk", "__default_morecore", "__glibc_morecore",
			// musl's, jemalloc's and mimalloc's.
			"__malloc_*", "__libc_malloc_impl", "_rjem_*", "je_*", "mi_*", "_mi_*",
		}},
	}
}

// matcher looks a name up in a table.
type matcher struct {
	lang   plan.Lang
	exact  map[string]string
	starts []start
}

type start struct{ text, bucket string }

func matcherFor(lang plan.Lang) matcher {
	m := matcher{lang: lang, exact: map[string]string{}}
	var table []group
	switch lang {
	case plan.Go:
		table = goTable()
	case plan.Rust:
		table = rustTable()
	}
	for _, g := range table {
		for _, symbol := range g.symbols {
			if text, ok := strings.CutSuffix(symbol, "*"); ok {
				m.starts = append(m.starts, start{text, g.bucket})
			} else {
				m.exact[symbol] = g.bucket
			}
		}
	}
	return m
}

// bucket is a function's: a whole name counts before a beginning, an earlier group before a later one.
func (m matcher) bucket(name string) string {
	if m.lang == plan.Go {
		name = withoutClosure(name)
	} else {
		name = plainPath(name)
	}
	if bucket, ok := m.exact[name]; ok {
		return bucket
	}
	for _, s := range m.starts {
		if strings.HasPrefix(name, s.text) {
			return s.bucket
		}
	}
	return result.BucketService
}

// withoutClosure is the name of the function that a Go closure of the runtime stands in.
func withoutClosure(name string) string {
	if at := strings.Index(name, ".func"); at > 0 && strings.HasPrefix(name, "runtime.") {
		return name[:at]
	}
	return name
}

// plainPath writes Rust's two manglings alike: an inherent method is a::B::c in the legacy one and <a::B>::c in v0, and
// a::<impl b::C>::d is a::impl b::C::d here. Methods of traits, <A as B>::c, stay as they are: none is in the table.
func plainPath(name string) string {
	if strings.Contains(name, " as ") || !strings.Contains(name, ">::") {
		return name
	}
	if inner, ok := strings.CutPrefix(name, "<"); ok {
		return strings.Replace(inner, ">::", "::", 1)
	}
	return strings.Replace(strings.Replace(name, "<impl ", "impl ", 1), ">::", "::", 1)
}
