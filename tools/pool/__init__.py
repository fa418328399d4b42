"""Models that this process serves itself: an engine started when a model is wanted, as many at a time as the machine holds.

A model `local/NAME` is one of the pool's: the first call for it starts its engine (`vllm serve`, or any OpenAI-compatible server by a
command template), and when there is no room an idle engine is put to sleep or ended first. Whoever asks waits meanwhile, in order.

A pool belongs to an event loop and takes the accelerator for its own: of two runs at once on a machine, the second finds no memory left,
unless `memory` leaves it some.

`plan` knows what would be started and whether it fits, `engine` is one server process, `residence` decides who is there.
"""
