import { useSyncExternalStore } from 'react'
import { type LiveState, liveState, onLiveState } from '../api/watch'

export function useLive(): LiveState {
  return useSyncExternalStore(onLiveState, liveState)
}
