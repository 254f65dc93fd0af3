;; LZ4 blocks of up to 64 KiB, written in the module's own memory. The caller's input and output lie behind the tables, apart, with 32 spare bytes behind
;; each: reads and copies go in steps of 8 and 16 bytes and may run over the end by less than that. The output has room for the input, a 255th of it, and 16.
;; Assembled into src/compression/lz4-encoder-wasm.ts by `npm run wasm`.
;;
;; A block is sequences: a token (literals in the upper 4 bits, length of the match less 4 in the lower), literals, distance uint16, each count that does
;; not fit into 15 going on behind it in bytes of up to 255. The last sequence is literals only, at least 5; no match begins in the last 12 bytes.
;; Source: lz4 block format.
;;
;;        0  heads      uint16[32768]  by hash of 4 bytes: where they were last in the block, plus 1; in `fast` by that of 5 bytes, without the 1
;;    10000  earlier    uint16[65536]  by position: where the same hash was before, plus 1
;;    30000  lengths    uint16[65536]  by position: of the longest match found; then of what is written there, 1 for a literal
;;    50000  distances  uint16[65536]  by position: of that match
;;    70000  prices     uint32[65537]  by position: how many bytes it takes to write everything from there on
;;    b0100  the caller's (all positions hexadecimal)
(module
  (memory (export "memory") 1)

  ;; What of a count does not fit into its 4 bits. Returns where the output ends.
  (func $excess (param $out i32) (param $count i32) (result i32)
    (block $done
      (loop $more
        (br_if $done (i32.lt_u (local.get $count) (i32.const 255)))
        (i32.store8 (local.get $out) (i32.const 255))
        (local.set $out (i32.add (local.get $out) (i32.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 255)))
        (br $more)))
    (i32.store8 (local.get $out) (local.get $count))
    (i32.add (local.get $out) (i32.const 1)))

  ;; A token without match and the literals from [from, end). Returns where the output ends.
  (func $literals (param $out i32) (param $from i32) (param $end i32) (result i32)
    (local $count i32) (local $to i32)
    (local.set $count (i32.sub (local.get $end) (local.get $from)))
    (local.set $to (i32.add (local.get $out) (i32.const 1)))
    (if (i32.lt_u (local.get $count) (i32.const 15))
      (then (i32.store8 (local.get $out) (i32.shl (local.get $count) (i32.const 4))))
      (else
        (i32.store8 (local.get $out) (i32.const 0xf0))
        (local.set $to (call $excess (local.get $to) (i32.sub (local.get $count) (i32.const 15))))))
    (local.set $out (i32.add (local.get $to) (local.get $count)))
    (loop $copy
      (i64.store (local.get $to) (i64.load (local.get $from)))
      (i64.store offset=8 (local.get $to) (i64.load offset=8 (local.get $from)))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (br_if $copy (i32.lt_u (local.get $to) (local.get $out))))
    (local.get $out))

  ;; One pass: the last place with the same hash is looked at, and what matches there is taken; where nothing matches the steps grow. The hash is of 5
  ;; bytes, though 4 make a match: what it finds is longer. Returns where the output ends.
  (func (export "fast") (param $base i32) (param $end i32) (param $out i32) (result i32)
    (local $at i32) (local $next i32) (local $effort i32) (local $anchor i32) (local $from i32) (local $token i32) (local $count i32)
    (local $sequence i32) (local $slot i32) (local $lastStart i32) (local $matchEnd i32) (local $difference i64)
    ;; An empty table says that everything was at the block's first position.
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 0x4000))
    (local.set $anchor (local.get $base))
    (local.set $lastStart (i32.sub (local.get $end) (i32.const 12)))
    (local.set $matchEnd (i32.sub (local.get $end) (i32.const 5)))
    (local.set $next (i32.add (local.get $base) (i32.const 1)))
    (block $done
      (loop $search
        (local.set $effort (i32.const 64))
        (loop $probe
          (local.set $at (local.get $next))
          (br_if $done (i32.gt_s (local.get $at) (local.get $lastStart)))
          (local.set $next (i32.add (local.get $at) (i32.shr_u (local.get $effort) (i32.const 6))))
          (local.set $effort (i32.add (local.get $effort) (i32.const 1)))
          (local.set $sequence (i32.load (local.get $at)))
          (local.set $slot
            (i32.and
              (i32.wrap_i64
                (i64.shr_u
                  (i64.mul (i64.shl (i64.load (local.get $at)) (i64.const 24)) (i64.const 0x9e3779b97f4a7c15))
                  (i64.const 50)))
              (i32.const 0x3ffe)))
          (local.set $from (i32.add (local.get $base) (i32.load16_u (local.get $slot))))
          (i32.store16 (local.get $slot) (i32.sub (local.get $at) (local.get $base)))
          (br_if $probe (i32.ne (i32.load (local.get $from)) (local.get $sequence))))
        ;; What lies before may match, too.
        (block $caught
          (loop $catch
            (br_if $caught (i32.le_u (local.get $at) (local.get $anchor)))
            (br_if $caught (i32.le_u (local.get $from) (local.get $base)))
            (br_if $caught
              (i32.ne
                (i32.load8_u (i32.sub (local.get $at) (i32.const 1)))
                (i32.load8_u (i32.sub (local.get $from) (i32.const 1)))))
            (local.set $at (i32.sub (local.get $at) (i32.const 1)))
            (local.set $from (i32.sub (local.get $from) (i32.const 1)))
            (br $catch)))
        (local.set $token (local.get $out))
        (local.set $count (i32.sub (local.get $at) (local.get $anchor)))
        ;; Most runs are short, and a call is dear.
        (if (i32.lt_u (local.get $count) (i32.const 15))
          (then
            (i32.store8 (local.get $out) (i32.shl (local.get $count) (i32.const 4)))
            (i64.store offset=1 (local.get $out) (i64.load (local.get $anchor)))
            (i64.store offset=9 (local.get $out) (i64.load offset=8 (local.get $anchor)))
            (local.set $out (i32.add (i32.add (local.get $out) (local.get $count)) (i32.const 1))))
          (else (local.set $out (call $literals (local.get $out) (local.get $anchor) (local.get $at)))))
        (loop $match
          (i32.store16 (local.get $out) (i32.sub (local.get $at) (local.get $from)))
          (local.set $out (i32.add (local.get $out) (i32.const 2)))
          (local.set $anchor (i32.add (local.get $at) (i32.const 4)))
          (local.set $at (local.get $anchor))
          (local.set $from (i32.add (local.get $from) (i32.const 4)))
          (block $ends
            (loop $same
              (local.set $difference (i64.xor (i64.load (local.get $at)) (i64.load (local.get $from))))
              (if (i64.ne (local.get $difference) (i64.const 0))
                (then
                  (local.set $at
                    (i32.add (local.get $at) (i32.wrap_i64 (i64.shr_u (i64.ctz (local.get $difference)) (i64.const 3)))))
                  (br $ends)))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (local.set $from (i32.add (local.get $from) (i32.const 8)))
              (br_if $same (i32.lt_u (local.get $at) (local.get $matchEnd)))))
          (if (i32.gt_u (local.get $at) (local.get $matchEnd)) (then (local.set $at (local.get $matchEnd))))
          (local.set $count (i32.sub (local.get $at) (local.get $anchor)))
          (if (i32.lt_u (local.get $count) (i32.const 15))
            (then (i32.store8 (local.get $token) (i32.add (i32.load8_u (local.get $token)) (local.get $count))))
            (else
              (i32.store8 (local.get $token) (i32.or (i32.load8_u (local.get $token)) (i32.const 15)))
              (local.set $out (call $excess (local.get $out) (i32.sub (local.get $count) (i32.const 15))))))
          (local.set $anchor (local.get $at))
          (br_if $done (i32.gt_u (local.get $at) (local.get $lastStart)))
          (i32.store16
            (i32.and
              (i32.wrap_i64
                (i64.shr_u
                  (i64.mul (i64.shl (i64.load (i32.sub (local.get $at) (i32.const 2))) (i64.const 24)) (i64.const 0x9e3779b97f4a7c15))
                  (i64.const 50)))
              (i32.const 0x3ffe))
            (i32.sub (i32.sub (local.get $at) (local.get $base)) (i32.const 2)))
          ;; Another one may follow at once.
          (local.set $sequence (i32.load (local.get $at)))
          (local.set $slot
            (i32.and
              (i32.wrap_i64
                (i64.shr_u
                  (i64.mul (i64.shl (i64.load (local.get $at)) (i64.const 24)) (i64.const 0x9e3779b97f4a7c15))
                  (i64.const 50)))
              (i32.const 0x3ffe)))
          (local.set $from (i32.add (local.get $base) (i32.load16_u (local.get $slot))))
          (i32.store16 (local.get $slot) (i32.sub (local.get $at) (local.get $base)))
          (if (i32.eq (i32.load (local.get $from)) (local.get $sequence))
            (then
              (local.set $token (local.get $out))
              (i32.store8 (local.get $out) (i32.const 0))
              (local.set $out (i32.add (local.get $out) (i32.const 1)))
              (br $match))))
        (local.set $next (i32.add (local.get $at) (i32.const 1)))
        (br $search)))
    (call $literals (local.get $out) (local.get $anchor) (local.get $end)))

  ;; The longest match of every position, as far as `attempts` looks at earlier places find it.
  (func $findMatches (param $base i32) (param $end i32) (param $attempts i32)
    (local $at i32) (local $position i32) (local $candidate i32) (local $from i32) (local $sequence i32) (local $slot i32) (local $left i32)
    (local $longest i32) (local $distance i32) (local $shift i32) (local $p i32) (local $q i32) (local $lastStart i32) (local $matchEnd i32) (local $difference i64)
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 0x10000))
    (local.set $lastStart (i32.sub (local.get $end) (i32.const 12)))
    (local.set $matchEnd (i32.sub (local.get $end) (i32.const 5)))
    (local.set $at (local.get $base))
    (local.set $longest (i32.const 3))
    (block $done
      (loop $next
        (br_if $done (i32.gt_s (local.get $at) (local.get $lastStart)))
        (local.set $position (i32.sub (local.get $at) (local.get $base)))
        (local.set $sequence (i32.load (local.get $at)))
        (local.set $slot
          (i32.and (i32.shr_u (i32.mul (local.get $sequence) (i32.const 0x9e3779b1)) (i32.const 16)) (i32.const 0xfffe)))
        (local.set $candidate (i32.load16_u (local.get $slot)))
        (i32.store16 (local.get $slot) (i32.add (local.get $position) (i32.const 1)))
        (i32.store16 offset=0x10000 (i32.shl (local.get $position) (i32.const 1)) (local.get $candidate))
        ;; The match of the position before serves this one, a byte shorter.
        (if (i32.gt_u (local.get $longest) (i32.const 3)) (then (local.set $longest (i32.sub (local.get $longest) (i32.const 1)))))
        (block $found
          (br_if $found (i32.ge_u (i32.add (local.get $at) (local.get $longest)) (local.get $matchEnd)))
          (local.set $left (local.get $attempts))
          ;; What is longer must have the 4 bytes around that one's end, too, and they are rarer than the first 4: theirs are the places to look at.
          (local.set $shift (i32.sub (local.get $longest) (i32.const 3)))
          (if (local.get $shift)
            (then
              (local.set $candidate
                (i32.load16_u
                  (i32.and
                    (i32.shr_u
                      (i32.mul (i32.load (i32.add (local.get $at) (local.get $shift))) (i32.const 0x9e3779b1))
                      (i32.const 16))
                    (i32.const 0xfffe))))))
          (loop $try
            (br_if $found (i32.le_u (local.get $candidate) (local.get $shift)))
            (local.set $from
              (i32.sub (i32.sub (i32.add (local.get $base) (local.get $candidate)) (local.get $shift)) (i32.const 1)))
            (local.set $candidate (i32.load16_u offset=0xfffe (i32.shl (local.get $candidate) (i32.const 1))))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            ;; What is longer than the longest one must match at its end, too.
            (if (i32.eq
                  (i32.load (i32.sub (i32.add (local.get $from) (local.get $longest)) (i32.const 3)))
                  (i32.load (i32.sub (i32.add (local.get $at) (local.get $longest)) (i32.const 3))))
              (then
                (if (i32.eq (i32.load (local.get $from)) (local.get $sequence))
                  (then
                    (local.set $p (i32.add (local.get $at) (i32.const 4)))
                    (local.set $q (i32.add (local.get $from) (i32.const 4)))
                    (block $ends
                      (loop $same
                        (local.set $difference (i64.xor (i64.load (local.get $p)) (i64.load (local.get $q))))
                        (if (i64.ne (local.get $difference) (i64.const 0))
                          (then
                            (local.set $p
                              (i32.add (local.get $p) (i32.wrap_i64 (i64.shr_u (i64.ctz (local.get $difference)) (i64.const 3)))))
                            (br $ends)))
                        (local.set $p (i32.add (local.get $p) (i32.const 8)))
                        (local.set $q (i32.add (local.get $q) (i32.const 8)))
                        (br_if $same (i32.lt_u (local.get $p) (local.get $matchEnd)))))
                    (if (i32.gt_u (local.get $p) (local.get $matchEnd)) (then (local.set $p (local.get $matchEnd))))
                    (if (i32.gt_u (i32.sub (local.get $p) (local.get $at)) (local.get $longest))
                      (then
                        (local.set $longest (i32.sub (local.get $p) (local.get $at)))
                        (local.set $distance (i32.sub (local.get $at) (local.get $from)))
                        (br_if $found (i32.ge_u (local.get $p) (local.get $matchEnd)))
                        ;; Of this one's end only what is in the tables already.
                        (local.set $shift (i32.sub (local.get $longest) (i32.const 4)))
                        (if (i32.gt_u (local.get $shift) (local.get $distance)) (then (local.set $shift (local.get $distance))))
                        (local.set $candidate
                          (i32.load16_u offset=0x10000
                            (i32.shl
                              (i32.add (i32.sub (local.get $from) (local.get $base)) (local.get $shift))
                              (i32.const 1))))))))))
            (br_if $try (local.get $left))))
        (i32.store16 offset=0x30000 (i32.shl (local.get $position) (i32.const 1)) (local.get $longest))
        (i32.store16 offset=0x50000 (i32.shl (local.get $position) (i32.const 1)) (local.get $distance))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next))))

  ;; From the end to the beginning, what is cheapest at every position: a literal, or a match and how much of it. All distances cost the same, so the
  ;; longest match stands for every shorter one; of these only few can be cheaper, those that leave a bit more to what follows, and 18, the most that
  ;; fits into the token. At the same price it is a match, for it cuts the literals into shorter runs. Leaves it in `lengths`.
  (func $choose (param $size i32)
    (local $at i32) (local $untilExcess i32) (local $price i32) (local $best i32) (local $chosen i32) (local $longest i32) (local $length i32)
    (local $least i32) (local $lastStart i32)
    (local.set $lastStart (i32.sub (local.get $size) (i32.const 12)))
    (i32.store offset=0x70000 (i32.shl (local.get $size) (i32.const 2)) (i32.const 0))
    (local.set $untilExcess (i32.const 15))
    (local.set $at (local.get $size))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $at)))
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        ;; The 15th literal of a run, and then every 255th, takes a byte more.
        (local.set $best (i32.add (i32.load offset=0x70004 (i32.shl (local.get $at) (i32.const 2))) (i32.const 1)))
        (local.set $untilExcess (i32.sub (local.get $untilExcess) (i32.const 1)))
        (if (i32.eqz (local.get $untilExcess))
          (then
            (local.set $untilExcess (i32.const 255))
            (local.set $best (i32.add (local.get $best) (i32.const 1)))))
        (local.set $chosen (i32.const 1))
        (if (i32.le_s (local.get $at) (local.get $lastStart))
          (then
            (local.set $longest (i32.load16_u offset=0x30000 (i32.shl (local.get $at) (i32.const 1))))
            (if (i32.ge_u (local.get $longest) (i32.const 4))
              (then
                (local.set $length (local.get $longest))
                (local.set $least (i32.sub (local.get $longest) (i32.const 3)))
                (if (i32.lt_s (local.get $least) (i32.const 4)) (then (local.set $least (i32.const 4))))
                (loop $shorten
                  (local.set $price
                    (i32.add
                      (i32.load offset=0x70000 (i32.shl (i32.add (local.get $at) (local.get $length)) (i32.const 2)))
                      (i32.const 3)))
                  (if (i32.ge_u (local.get $length) (i32.const 19))
                    (then
                      (local.set $price
                        (i32.add
                          (local.get $price)
                          (i32.div_u (i32.add (local.get $length) (i32.const 236)) (i32.const 255))))))
                  (if (i32.lt_u (i32.sub (local.get $price) (i32.eq (local.get $chosen) (i32.const 1))) (local.get $best))
                    (then
                      (local.set $best (local.get $price))
                      (local.set $chosen (local.get $length))))
                  (local.set $length (i32.sub (local.get $length) (i32.const 1)))
                  (br_if $shorten (i32.ge_s (local.get $length) (local.get $least))))
                (if (i32.gt_s (local.get $least) (i32.const 18))
                  (then
                    (local.set $price
                      (i32.add
                        (i32.load offset=0x70048 (i32.shl (local.get $at) (i32.const 2)))
                        (i32.const 3)))
                    (if (i32.lt_u (i32.sub (local.get $price) (i32.eq (local.get $chosen) (i32.const 1))) (local.get $best))
                      (then
                        (local.set $best (local.get $price))
                        (local.set $chosen (i32.const 18))))))))))
        (if (i32.ne (local.get $chosen) (i32.const 1)) (then (local.set $untilExcess (i32.const 15))))
        (i32.store offset=0x70000 (i32.shl (local.get $at) (i32.const 2)) (local.get $best))
        (i32.store16 offset=0x30000 (i32.shl (local.get $at) (i32.const 1)) (local.get $chosen))
        (br $next))))

  ;; Looks at the whole block before it writes. Returns where the output ends.
  (func (export "high") (param $base i32) (param $end i32) (param $out i32) (param $attempts i32) (result i32)
    (local $at i32) (local $anchor i32) (local $slot i32) (local $length i32) (local $token i32)
    (call $findMatches (local.get $base) (local.get $end) (local.get $attempts))
    (call $choose (i32.sub (local.get $end) (local.get $base)))
    (local.set $at (local.get $base))
    (local.set $anchor (local.get $base))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $slot (i32.shl (i32.sub (local.get $at) (local.get $base)) (i32.const 1)))
        (local.set $length (i32.load16_u offset=0x30000 (local.get $slot)))
        (if (i32.gt_u (local.get $length) (i32.const 1))
          (then
            (local.set $token (local.get $out))
            (local.set $out (call $literals (local.get $out) (local.get $anchor) (local.get $at)))
            (i32.store16 (local.get $out) (i32.load16_u offset=0x50000 (local.get $slot)))
            (local.set $out (i32.add (local.get $out) (i32.const 2)))
            (if (i32.lt_u (local.get $length) (i32.const 19))
              (then
                (i32.store8
                  (local.get $token)
                  (i32.add (i32.load8_u (local.get $token)) (i32.sub (local.get $length) (i32.const 4)))))
              (else
                (i32.store8 (local.get $token) (i32.or (i32.load8_u (local.get $token)) (i32.const 15)))
                (local.set $out (call $excess (local.get $out) (i32.sub (local.get $length) (i32.const 19))))))
            (local.set $at (i32.add (local.get $at) (local.get $length)))
            (local.set $anchor (local.get $at)))
          (else (local.set $at (i32.add (local.get $at) (i32.const 1)))))
        (br $next)))
    (call $literals (local.get $out) (local.get $anchor) (local.get $end))))
