;; SPDX-License-Identifier: BSD-2-Clause
;; A program for the interpreter. Each export takes a size and returns a number that depends on all that it computed; on
;; the way it tells the host some of it. Its memory begins with one page and grows by what each call needs.
(module
  (import "host" "record" (func $record (param i64)))
  (memory (export "memory") 1)

  ;; Makes sure that $bytes can be used; traps if there is no memory for them.
  (func $need (param $bytes i32)
    (local $pages i32)
    (local.set $pages
      (i32.sub
        (i32.shr_u (i32.add (local.get $bytes) (i32.const 65535)) (i32.const 16))
        (memory.size)))
    (if (i32.gt_s (local.get $pages) (i32.const 0))
      (then
        (if (i32.lt_s (memory.grow (local.get $pages)) (i32.const 0))
          (then (unreachable))))))

  ;; One step of FNV-1a, with a word instead of a byte.
  (func $mix (param $hash i64) (param $word i64) (result i64)
    (i64.mul
      (i64.xor (local.get $hash) (local.get $word))
      (i64.const 0x100000001b3)))

  ;; How many primes there are below $n; each of them is recorded.
  (func (export "sieve") (param $n i32) (result i64)
    (local $number i32)
    (local $multiple i32)
    (local $count i64)
    (call $need (local.get $n))
    (local.set $number (i32.const 2))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $number) (local.get $n)))
        (if (i32.eqz (i32.load8_u (local.get $number)))
          (then
            (call $record (i64.extend_i32_u (local.get $number)))
            (local.set $count (i64.add (local.get $count) (i64.const 1)))
            (local.set $multiple (i32.shl (local.get $number) (i32.const 1)))
            (block $crossed
              (loop $cross
                (br_if $crossed (i32.ge_u (local.get $multiple) (local.get $n)))
                (i32.store8 (local.get $multiple) (i32.const 1))
                (local.set $multiple (i32.add (local.get $multiple) (local.get $number)))
                (br $cross)))))
        (local.set $number (i32.add (local.get $number) (i32.const 1)))
        (br $next)))
    (local.get $count))

  ;; Sorts the words from $first to $last, both included, by their addresses: quicksort, recursive on both sides.
  (func $sort (param $first i32) (param $last i32)
    (local $left i32)
    (local $right i32)
    (local $pivot i32)
    (local $word i32)
    (if (i32.ge_s (local.get $first) (local.get $last)) (then (return)))
    (local.set $left (local.get $first))
    (local.set $right (local.get $last))
    (local.set $pivot
      (i32.load
        (i32.and
          (i32.shr_u (i32.add (local.get $first) (local.get $last)) (i32.const 1))
          (i32.const -4))))
    (block $parted
      (loop $part
        (br_if $parted (i32.gt_s (local.get $left) (local.get $right)))
        (if (i32.lt_u (i32.load (local.get $left)) (local.get $pivot))
          (then
            (local.set $left (i32.add (local.get $left) (i32.const 4)))
            (br $part)))
        (if (i32.gt_u (i32.load (local.get $right)) (local.get $pivot))
          (then
            (local.set $right (i32.sub (local.get $right) (i32.const 4)))
            (br $part)))
        (local.set $word (i32.load (local.get $left)))
        (i32.store (local.get $left) (i32.load (local.get $right)))
        (i32.store (local.get $right) (local.get $word))
        (local.set $left (i32.add (local.get $left) (i32.const 4)))
        (local.set $right (i32.sub (local.get $right) (i32.const 4)))
        (br $part)))
    (call $sort (local.get $first) (local.get $right))
    (call $sort (local.get $left) (local.get $last)))

  ;; Sorts $n pseudo-random words; a hash of them in order. Traps if they are not in order.
  (func (export "sort") (param $n i32) (result i64)
    (local $at i32)
    (local $end i32)
    (local $word i32)
    (local $before i32)
    (local $hash i64)
    (local.set $end (i32.shl (local.get $n) (i32.const 2)))
    (call $need (local.get $end))
    (local.set $word (i32.const 0x2545f491))
    (block $filled
      (loop $fill
        (br_if $filled (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $word
          (i32.add (i32.mul (local.get $word) (i32.const 1664525)) (i32.const 1013904223)))
        (i32.store (local.get $at) (local.get $word))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $fill)))
    (call $sort (i32.const 0) (i32.sub (local.get $end) (i32.const 4)))
    (local.set $at (i32.const 0))
    (local.set $hash (i64.const 0xcbf29ce484222325))
    (block $read
      (loop $next
        (br_if $read (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $word (i32.load (local.get $at)))
        (if (i32.lt_u (local.get $word) (local.get $before)) (then (unreachable)))
        (local.set $before (local.get $word))
        (local.set $hash
          (call $mix (local.get $hash) (i64.extend_i32_u (local.get $word))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next)))
    (local.get $hash))

  ;; Multiplies two matrices of $n by $n numbers, made from square roots; the bits of the product's elements, hashed.
  ;; The matrices lie one behind the other. Each row's first element is recorded.
  (func (export "matrix") (param $n i32) (result i64)
    (local $row i32)
    (local $column i32)
    (local $inner i32)
    (local $bytes i32)
    (local $sum f64)
    (local $hash i64)
    (local.set $bytes (i32.shl (i32.mul (local.get $n) (local.get $n)) (i32.const 3)))
    (call $need (i32.mul (local.get $bytes) (i32.const 3)))
    (block $filled
      (loop $fill
        (br_if $filled (i32.ge_u (local.get $inner) (i32.shl (local.get $bytes) (i32.const 1))))
        (f64.store (local.get $inner) (f64.sqrt (f64.convert_i32_u (local.get $inner))))
        (local.set $inner (i32.add (local.get $inner) (i32.const 8)))
        (br $fill)))
    (local.set $hash (i64.const 0xcbf29ce484222325))
    (block $multiplied
      (loop $rows
        (br_if $multiplied (i32.ge_u (local.get $row) (local.get $n)))
        (local.set $column (i32.const 0))
        (block $row_done
          (loop $columns
            (br_if $row_done (i32.ge_u (local.get $column) (local.get $n)))
            (local.set $inner (i32.const 0))
            (local.set $sum (f64.const 0))
            (block $summed
              (loop $add
                (br_if $summed (i32.ge_u (local.get $inner) (local.get $n)))
                (local.set $sum
                  (f64.add
                    (local.get $sum)
                    (f64.mul
                      (f64.load
                        (i32.shl
                          (i32.add (i32.mul (local.get $row) (local.get $n)) (local.get $inner))
                          (i32.const 3)))
                      (f64.load
                        (i32.add
                          (local.get $bytes)
                          (i32.shl
                            (i32.add (i32.mul (local.get $inner) (local.get $n)) (local.get $column))
                            (i32.const 3)))))))
                (local.set $inner (i32.add (local.get $inner) (i32.const 1)))
                (br $add)))
            (f64.store
              (i32.add
                (i32.shl (local.get $bytes) (i32.const 1))
                (i32.shl
                  (i32.add (i32.mul (local.get $row) (local.get $n)) (local.get $column))
                  (i32.const 3)))
              (local.get $sum))
            (if (i32.eqz (local.get $column))
              (then (call $record (i64.reinterpret_f64 (local.get $sum)))))
            (local.set $hash
              (call $mix (local.get $hash) (i64.reinterpret_f64 (local.get $sum))))
            (local.set $column (i32.add (local.get $column) (i32.const 1)))
            (br $columns)))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $rows)))
    (local.get $hash))

  ;; The function of Ackermann and Péter: hardly anything but calls, nested deeply.
  (func $ackermann (param $m i64) (param $n i64) (result i64)
    (if (result i64) (i64.eqz (local.get $m))
      (then (i64.add (local.get $n) (i64.const 1)))
      (else
        (if (result i64) (i64.eqz (local.get $n))
          (then (call $ackermann (i64.sub (local.get $m) (i64.const 1)) (i64.const 1)))
          (else
            (call $ackermann
              (i64.sub (local.get $m) (i64.const 1))
              (call $ackermann (local.get $m) (i64.sub (local.get $n) (i64.const 1)))))))))

  (func (export "ackermann") (param $n i32) (result i64)
    (call $ackermann (i64.const 2) (i64.extend_i32_u (local.get $n))))

  ;; Asks for $pages more of memory; the pages that there were, or -1.
  (func (export "grow") (param $pages i32) (result i64)
    (i64.extend_i32_s (memory.grow (local.get $pages)))))
