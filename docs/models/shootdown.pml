/* SPDX-License-Identifier: MIT */
/*
 * The shootdown of src/machine/soft_tlb.c, for the model checker spin: scripts/models runs it.
 *
 * One page, its entry in the tables, NR_CPUS processors with a TLB of one entry each that read
 * and write it all the time, and a manager that maps it, takes the right to write away (as fork
 * does, and a page that goes to swap), and takes it away, several times, each time on the
 * other of two frames. Every step that the code takes without a lock in between is a step here;
 * an atomic operation of the code is an atomic block.
 *
 * What must hold:
 *  1. No access begins or ends on a frame that is not the page's: when apply() has returned the
 *     frame belongs to somebody else.
 *  2. No write lands after apply() has made the page read-only.
 *  3. What was written is known: the dirty bit was set in what the exchange returned.
 *
 * Each of these breaks it, and scripts/models sees that it is found:
 *  NO_SHOOT     nobody invalidates the TLBs
 *  SHOOT_FIRST  the TLBs are invalidated before the entry is changed
 *  ONE_CPU      only the first processor's is
 *  EARLY_UNLOCK a processor gives its lock back before the access that it translated for
 *  BLIND_DIRTY  the dirty bit is set without comparing the entry
 *  KEEP_WRITE   a TLB lets the first write pass, without setting the dirty bit
 */
#define NR_CPUS	  2
#define NR_FRAMES 2
#define ROUNDS	  3

/* The entry. An exchange or a load of it is one step. */
bool pte_present, pte_write, pte_dirty;
byte pte_frame;

/* A processor: its lock, and the one entry of its TLB. */
bool lock[NR_CPUS];
bool tlb_valid[NR_CPUS], tlb_write[NR_CPUS];
byte tlb_frame[NR_CPUS];

/* What is true, by what apply() has returned. */
bool is_ours[NR_FRAMES], is_read_only[NR_FRAMES], is_written[NR_FRAMES];
bool is_over;

inline acquire(cpu)
{
	atomic { !lock[cpu] -> lock[cpu] = true }
}

inline release(cpu)
{
	lock[cpu] = false
}

inline shoot()
{
	i = 0;
	do
	:: i < NR_CPUS ->
#if !defined(NO_SHOOT)
#ifdef ONE_CPU
		if
		:: i == 0 ->
#endif
		acquire(i);
		tlb_valid[i] = false;
		release(i)
#ifdef ONE_CPU
		:: else
		fi
#endif
		;
#endif
		i++
	:: else -> break
	od
}

/* Changes the entry; was_dirty gathers what it had. */
inline apply(present, write)
{
#ifdef SHOOT_FIRST
	shoot();
#endif
	atomic {
		was_dirty = was_dirty || pte_dirty;
		pte_present = present;
		pte_write = write;
		pte_dirty = false;
	}
#ifndef SHOOT_FIRST
	shoot();
#endif
}

proctype manager()
{
	byte i, round, frame;
	bool was_dirty;

	do
	:: round < ROUNDS ->
		frame = round % NR_FRAMES;
		was_dirty = false;
		atomic {
			is_ours[frame] = true;
			is_read_only[frame] = false;
			is_written[frame] = false;
		}
		atomic { /* what is not present is in no TLB: nothing to invalidate */
			pte_frame = frame;
			pte_present = true;
			pte_write = true;
			pte_dirty = false;
		}
		if
		:: apply(true, false);
		   is_read_only[frame] = true;
		   assert(!is_written[frame] || was_dirty)
		:: skip
		fi;
		apply(false, false);
		assert(!is_written[frame] || was_dirty);
		is_ours[frame] = false;
		round++
	:: else -> break
	od;
	is_over = true
}

proctype processor(byte me)
{
	bool is_write, is_done, present, write, dirty;
	byte frame;

	do
	:: is_over -> break
	:: else ->
		acquire(me);
		is_done = false;
		if
		:: is_write = false
		:: is_write = true
		fi;
		if
		:: tlb_valid[me] && (!is_write || tlb_write[me]) ->
			frame = tlb_frame[me];
			is_done = true
		:: else ->
			tlb_valid[me] = false; /* forgotten, and walked for */
walk:
			atomic {
				present = pte_present;
				write = pte_write;
				dirty = pte_dirty;
				frame = pte_frame;
			}
			if
			:: !present || (is_write && !write) -> skip /* a fault */
			:: present && !(is_write && !write) && (!is_write || dirty) ->
				is_done = true /* no bit is to be set: no compare */
			:: present && is_write && write && !dirty ->
				atomic {
					if
#ifdef BLIND_DIRTY
					:: true ->
#else
					:: pte_present == present && pte_write == write &&
					   pte_dirty == dirty && pte_frame == frame ->
#endif
						pte_dirty = true;
						dirty = true;
						is_done = true
#ifndef BLIND_DIRTY
					:: else -> skip
#endif
					fi
				}
				if
				:: !is_done -> goto walk
				:: else
				fi
			fi;
			if
			:: is_done ->
				tlb_frame[me] = frame;
#ifdef KEEP_WRITE
				tlb_write[me] = write;
#else
				tlb_write[me] = write && dirty;
#endif
				tlb_valid[me] = true
			:: else
			fi
		fi;
#ifdef EARLY_UNLOCK
		release(me);
#endif
		if
		:: is_done ->
			assert(is_ours[frame]);
			if
			:: is_write ->
				assert(!is_read_only[frame]);
				is_written[frame] = true
			:: else
			fi;
			assert(is_ours[frame])
		:: else
		fi
#ifndef EARLY_UNLOCK
		;
		release(me)
#endif
	od
}

init
{
	byte cpu;

	atomic {
		run manager();
		for (cpu : 0 .. NR_CPUS - 1) {
			run processor(cpu)
		}
	}
}
