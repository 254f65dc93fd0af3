;; The inner loops of LZ4, snappy and xxHash32: bytes in the module's own memory become bytes in that memory. The caller puts input and output
;; apart, with 32 spare bytes behind each: copies go in steps of 8 and 16 bytes and may run over the end by less than that.
;; Assembled into src/compression/block-decoders-wasm.ts by `npm run wasm`.
(module
  (memory (export "memory") 1)

  ;; Copies `length` bytes that do not follow `to` within `length`; at least 16, up to 15 more than asked.
  (func $copyAhead (param $to i32) (param $from i32) (param $length i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $to) (local.get $length)))
    (loop $next
      (i64.store (local.get $to) (i64.load (local.get $from)))
      (i64.store offset=8 (local.get $to) (i64.load offset=8 (local.get $from)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $to) (local.get $end)))))

  ;; Repeats what lies `distance` before `to`, whose first bytes may be the copy's own.
  (func $copyMatch (param $to i32) (param $distance i32) (param $length i32)
    (local $from i32) (local $end i32)
    (local.set $from (i32.sub (local.get $to) (local.get $distance)))
    (local.set $end (i32.add (local.get $to) (local.get $length)))
    (if (i32.ge_u (local.get $distance) (i32.const 8))
      (then
        (loop $next
          (i64.store (local.get $to) (i64.load (local.get $from)))
          (local.set $to (i32.add (local.get $to) (i32.const 8)))
          (local.set $from (i32.add (local.get $from) (i32.const 8)))
          (br_if $next (i32.lt_u (local.get $to) (local.get $end))))
        (return)))
    (if (i32.eq (local.get $distance) (i32.const 1))
      (then
        (memory.fill (local.get $to) (i32.load8_u (local.get $from)) (local.get $length))
        (return)))
    (loop $next
      (i32.store8 (local.get $to) (i32.load8_u (local.get $from)))
      (local.set $to (i32.add (local.get $to) (i32.const 1)))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $to) (local.get $end)))))

  ;; One LZ4 block from [at, end) to [out, limit). Returns where the output ends, -1 for garbage, -2 when it does not fit.
  (func (export "lz4Block") (param $at i32) (param $end i32) (param $out i32) (param $limit i32) (result i32)
    (local $base i32) (local $token i32) (local $length i32) (local $byte i32) (local $distance i32) (local $from i32) (local $to i32) (local $safeEnd i32) (local $safeLimit i32)
    (local.set $base (local.get $out))
    ;; Up to 14 literals and 18 bytes of match, which is what most sequences are: so far from both ends they need no look at them, and are copied as if
    ;; they were longest. Whatever else a sequence is, it is begun again below.
    (local.set $safeEnd (i32.sub (local.get $end) (i32.const 17)))
    (local.set $safeLimit (i32.sub (local.get $limit) (i32.const 33)))
    (loop $sequence
      (block $slow
        (br_if $slow (i32.ge_s (local.get $at) (local.get $safeEnd)))
        (br_if $slow (i32.ge_s (local.get $out) (local.get $safeLimit)))
        (loop $short
          (local.set $token (i32.load8_u (local.get $at)))
          (local.set $length (i32.shr_u (local.get $token) (i32.const 4)))
          (br_if $slow (i32.eq (local.get $length) (i32.const 15)))
          (i64.store (local.get $out) (i64.load offset=1 (local.get $at)))
          (i64.store offset=8 (local.get $out) (i64.load offset=9 (local.get $at)))
          (local.set $from (i32.add (i32.add (local.get $at) (local.get $length)) (i32.const 1)))
          (local.set $to (i32.add (local.get $out) (local.get $length)))
          (local.set $distance (i32.load16_u (local.get $from)))
          (local.set $length (i32.and (local.get $token) (i32.const 15)))
          (br_if $slow (i32.eq (local.get $length) (i32.const 15)))
          (br_if $slow (i32.lt_u (local.get $distance) (i32.const 8)))
          (br_if $slow (i32.gt_u (local.get $distance) (i32.sub (local.get $to) (local.get $base))))
          (local.set $at (i32.add (local.get $from) (i32.const 2)))
          (local.set $from (i32.sub (local.get $to) (local.get $distance)))
          (i64.store (local.get $to) (i64.load (local.get $from)))
          (i64.store offset=8 (local.get $to) (i64.load offset=8 (local.get $from)))
          (i32.store16 offset=16 (local.get $to) (i32.load16_u offset=16 (local.get $from)))
          (local.set $out (i32.add (i32.add (local.get $to) (local.get $length)) (i32.const 4)))
          (br_if $slow (i32.ge_s (local.get $at) (local.get $safeEnd)))
          (br_if $short (i32.lt_s (local.get $out) (local.get $safeLimit)))))
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const -1))))
      (local.set $token (i32.load8_u (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $length (i32.shr_u (local.get $token) (i32.const 4)))
      (if (i32.eq (local.get $length) (i32.const 15))
        (then
          (loop $more
            (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const -1))))
            (local.set $byte (i32.load8_u (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (local.set $length (i32.add (local.get $length) (local.get $byte)))
            (br_if $more (i32.eq (local.get $byte) (i32.const 255))))))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $end) (local.get $at))) (then (return (i32.const -1))))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $limit) (local.get $out))) (then (return (i32.const -2))))
      ;; Most copies are short, and a call is dear.
      (if (i32.le_u (local.get $length) (i32.const 16))
        (then
          (i64.store (local.get $out) (i64.load (local.get $at)))
          (i64.store offset=8 (local.get $out) (i64.load offset=8 (local.get $at))))
        (else (call $copyAhead (local.get $out) (local.get $at) (local.get $length))))
      (local.set $at (i32.add (local.get $at) (local.get $length)))
      (local.set $out (i32.add (local.get $out) (local.get $length)))
      ;; A block ends in literals.
      (if (i32.eq (local.get $at) (local.get $end)) (then (return (local.get $out))))
      (if (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 2)) (then (return (i32.const -1))))
      (local.set $distance (i32.load16_u (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 2)))
      (local.set $length (i32.add (i32.and (local.get $token) (i32.const 15)) (i32.const 4)))
      (if (i32.eq (local.get $length) (i32.const 19))
        (then
          (loop $more
            (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const -1))))
            (local.set $byte (i32.load8_u (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (local.set $length (i32.add (local.get $length) (local.get $byte)))
            (br_if $more (i32.eq (local.get $byte) (i32.const 255))))))
      ;; Distance 0 becomes the largest one.
      (if (i32.ge_u (i32.sub (local.get $distance) (i32.const 1)) (i32.sub (local.get $out) (local.get $base)))
        (then (return (i32.const -1))))
      (if (i32.gt_u (local.get $length) (i32.sub (local.get $limit) (local.get $out))) (then (return (i32.const -2))))
      (if (i32.and (i32.ge_u (local.get $distance) (i32.const 8)) (i32.le_u (local.get $length) (i32.const 16)))
        (then
          (local.set $from (i32.sub (local.get $out) (local.get $distance)))
          (i64.store (local.get $out) (i64.load (local.get $from)))
          (i64.store offset=8 (local.get $out) (i64.load offset=8 (local.get $from))))
        (else (call $copyMatch (local.get $out) (local.get $distance) (local.get $length))))
      (local.set $out (i32.add (local.get $out) (local.get $length)))
      (br $sequence))
    (unreachable))

  ;; The elements of a raw snappy block from [at, end), its length read already, to exactly [out, limit). Returns 0, or -1 for garbage.
  (func (export "snappyBlock") (param $at i32) (param $end i32) (param $out i32) (param $limit i32) (result i32)
    (local $base i32) (local $tag i32) (local $length i32) (local $kind i32) (local $distance i32) (local $from i32)
    (local.set $base (local.get $out))
    (block $done
      (loop $element
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $tag (i32.load8_u (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $kind (i32.and (local.get $tag) (i32.const 3)))
        (if (i32.eqz (local.get $kind))
          (then
            ;; Literals: their count less one is in the tag, or in the 1 to 4 bytes behind it.
            (local.set $length (i32.shr_u (local.get $tag) (i32.const 2)))
            (if (i32.ge_u (local.get $length) (i32.const 60))
              (then
                (local.set $kind (i32.sub (local.get $length) (i32.const 59)))
                (if (i32.gt_u (local.get $kind) (i32.sub (local.get $end) (local.get $at))) (then (return (i32.const -1))))
                (local.set $length
                  (i32.and
                    (i32.load (local.get $at))
                    (i32.shr_u (i32.const -1) (i32.sub (i32.const 32) (i32.shl (local.get $kind) (i32.const 3))))))
                (local.set $at (i32.add (local.get $at) (local.get $kind)))))
            (if (i32.ge_u (local.get $length) (i32.sub (local.get $end) (local.get $at))) (then (return (i32.const -1))))
            (if (i32.ge_u (local.get $length) (i32.sub (local.get $limit) (local.get $out))) (then (return (i32.const -1))))
            (local.set $length (i32.add (local.get $length) (i32.const 1)))
            (if (i32.le_u (local.get $length) (i32.const 16))
              (then
                (i64.store (local.get $out) (i64.load (local.get $at)))
                (i64.store offset=8 (local.get $out) (i64.load offset=8 (local.get $at))))
              (else (call $copyAhead (local.get $out) (local.get $at) (local.get $length))))
            (local.set $at (i32.add (local.get $at) (local.get $length)))
            (local.set $out (i32.add (local.get $out) (local.get $length)))
            (br $element)))
        (if (i32.eq (local.get $kind) (i32.const 1))
          (then
            (if (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 1)) (then (return (i32.const -1))))
            (local.set $length (i32.add (i32.and (i32.shr_u (local.get $tag) (i32.const 2)) (i32.const 7)) (i32.const 4)))
            (local.set $distance
              (i32.or (i32.shl (i32.shr_u (local.get $tag) (i32.const 5)) (i32.const 8)) (i32.load8_u (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 1))))
          (else
            (local.set $length (i32.add (i32.shr_u (local.get $tag) (i32.const 2)) (i32.const 1)))
            (if (i32.eq (local.get $kind) (i32.const 2))
              (then
                (if (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 2)) (then (return (i32.const -1))))
                (local.set $distance (i32.load16_u (local.get $at)))
                (local.set $at (i32.add (local.get $at) (i32.const 2))))
              (else
                (if (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 4)) (then (return (i32.const -1))))
                (local.set $distance (i32.load (local.get $at)))
                (local.set $at (i32.add (local.get $at) (i32.const 4)))))))
        ;; Distance 0 becomes the largest one.
        (if (i32.ge_u (i32.sub (local.get $distance) (i32.const 1)) (i32.sub (local.get $out) (local.get $base)))
          (then (return (i32.const -1))))
        (if (i32.gt_u (local.get $length) (i32.sub (local.get $limit) (local.get $out))) (then (return (i32.const -1))))
        (if (i32.and (i32.ge_u (local.get $distance) (i32.const 8)) (i32.le_u (local.get $length) (i32.const 16)))
          (then
            (local.set $from (i32.sub (local.get $out) (local.get $distance)))
            (i64.store (local.get $out) (i64.load (local.get $from)))
            (i64.store offset=8 (local.get $out) (i64.load offset=8 (local.get $from))))
          (else (call $copyMatch (local.get $out) (local.get $distance) (local.get $length))))
        (local.set $out (i32.add (local.get $out) (local.get $length)))
        (br $element)))
    (select (i32.const 0) (i32.const -1) (i32.eq (local.get $out) (local.get $limit))))

  ;; xxHash32 with seed 0 of [at, end). Source: xxHash specification 0.1.1.
  (func (export "xxHash32") (param $at i32) (param $end i32) (result i32)
    (local $hash i32) (local $length i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (local.set $length (i32.sub (local.get $end) (local.get $at)))
    (local.set $hash (i32.const 0x165667b1))
    (if (i32.ge_u (local.get $length) (i32.const 16))
      (then
        (local.set $a (i32.add (i32.const 0x9e3779b1) (i32.const 0x85ebca77)))
        (local.set $b (i32.const 0x85ebca77))
        (local.set $d (i32.sub (i32.const 0) (i32.const 0x9e3779b1)))
        (loop $stripe
          (local.set $a
            (i32.mul
              (i32.rotl
                (i32.add (local.get $a) (i32.mul (i32.load (local.get $at)) (i32.const 0x85ebca77)))
                (i32.const 13))
              (i32.const 0x9e3779b1)))
          (local.set $b
            (i32.mul
              (i32.rotl
                (i32.add (local.get $b) (i32.mul (i32.load offset=4 (local.get $at)) (i32.const 0x85ebca77)))
                (i32.const 13))
              (i32.const 0x9e3779b1)))
          (local.set $c
            (i32.mul
              (i32.rotl
                (i32.add (local.get $c) (i32.mul (i32.load offset=8 (local.get $at)) (i32.const 0x85ebca77)))
                (i32.const 13))
              (i32.const 0x9e3779b1)))
          (local.set $d
            (i32.mul
              (i32.rotl
                (i32.add (local.get $d) (i32.mul (i32.load offset=12 (local.get $at)) (i32.const 0x85ebca77)))
                (i32.const 13))
              (i32.const 0x9e3779b1)))
          (local.set $at (i32.add (local.get $at) (i32.const 16)))
          (br_if $stripe (i32.ge_u (i32.sub (local.get $end) (local.get $at)) (i32.const 16))))
        (local.set $hash
          (i32.add
            (i32.add (i32.rotl (local.get $a) (i32.const 1)) (i32.rotl (local.get $b) (i32.const 7)))
            (i32.add (i32.rotl (local.get $c) (i32.const 12)) (i32.rotl (local.get $d) (i32.const 18)))))))
    (local.set $hash (i32.add (local.get $hash) (local.get $length)))
    (block $noWord
      (loop $word
        (br_if $noWord (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 4)))
        (local.set $hash
          (i32.mul
            (i32.rotl
              (i32.add (local.get $hash) (i32.mul (i32.load (local.get $at)) (i32.const 0xc2b2ae3d)))
              (i32.const 17))
            (i32.const 0x27d4eb2f)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $word)))
    (block $noByte
      (loop $byte
        (br_if $noByte (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $hash
          (i32.mul
            (i32.rotl
              (i32.add (local.get $hash) (i32.mul (i32.load8_u (local.get $at)) (i32.const 0x165667b1)))
              (i32.const 11))
            (i32.const 0x9e3779b1)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $byte)))
    (local.set $hash (i32.mul (i32.xor (local.get $hash) (i32.shr_u (local.get $hash) (i32.const 15))) (i32.const 0x85ebca77)))
    (local.set $hash (i32.mul (i32.xor (local.get $hash) (i32.shr_u (local.get $hash) (i32.const 13))) (i32.const 0xc2b2ae3d)))
    (i32.xor (local.get $hash) (i32.shr_u (local.get $hash) (i32.const 16)))))
