//! Every feature gate that kube-scheduler 1.37.2 accepts, with its stage and what it is set to unless somebody says otherwise.
//! Leaves out what any of them does: `features` names those that bear on decisions.

use super::Stage::{self, Alpha, Beta, Deprecated, Stable};

/// Stage, default, whether the default is all that it may be set to, names apart by white space.
pub(super) const GATES: [(Stage, bool, bool, &str); 9] = [
    (
        Alpha,
        false,
        false,
        "APIServerWebhookAuthenticationToken APIServingWithRoutine AllAlpha AtomicWriteVolumeUserFields CBORServingAndStorage
         CPUManagerPolicyAlphaOptions CRIListStreaming CSIVolumeHealth ClientsAllowCBOR ClientsPreferCBOR
         CloudControllerManagerWatchBasedRoutesReconciliation CloudControllerManagerWebhook CompositePodGroup
         ConsistentListFromCacheSkipTimeoutFallback ContainerStopSignals CrossNamespaceVolumeDataSource DRADerivedAttributes
         DRADeviceCompatibilityGroups DRAListTypeAttributes DRANodeAllocatableResources DRAOptionalNodeOperations
         DRAPartitionableDevicesType DRAResourcePoolStatus DefaultPodSysctls EmptyDirVolumeMode EventedPLEG EvictionRequestAPI
         GRPCContainerProbeTLS H2CContainerProbe ImageVolumeWithDigest InPlacePodVerticalScalingExclusiveCPUs
         InPlacePodVerticalScalingExclusiveMemory InPlacePodVerticalScalingMemoryBackedVolumes
         InPlacePodVerticalScalingSchedulerPreemption InterPodAffinityHostnameFastPath KubeProxyNFTablesLocalhostNodePorts
         KubeletAllocatedPodsEndpoint LoggingAlphaOptions MutablePVNodeAffinity NodeLifecycleConditions
         PodGroupPreemptionPolicy PodLogsQuerySplitStreams QOSReserved ReduceDefaultCrashLoopBackOffDecay
         RuntimeClassInImageCriApi SchedulerPreQueueingHints ShardedListAndWatch StatefulSetRecreateStrategy StorageVersionAPI
         TaintTolerationComparisonOperators TopologyAwareWorkloadScheduling TopologyManagerPolicyAlphaOptions
         UserNamespacesHostNetworkSupport VolumeBindMountOptions WindowsCPUAndMemoryAffinity WorkloadWithJob",
    ),
    (
        Beta,
        false,
        false,
        "AllBeta CoordinatedLeaderElection DRAFractionalCapacityRange DRAWorkloadResourceClaims GenericWorkload
         LocalStorageCapacityIsolationFSQuotaMonitoring PodAndContainerStatsFromCRI PodLevelResourceManagers
         SchedulerAsyncAPICalls",
    ),
    (
        Beta,
        true,
        false,
        "APIResponseCompression APIServerIdentity AllowParsingUserUIDFromCertAuth AllowUnsafeMalformedObjectDeletion AtomicFIFO
         AuthorizePodWebsocketUpgradeCreatePermission CPUManagerPolicyBetaOptions CRDObservedGenerationTracking
         ClearingNominatedNodeNameAfterBinding ClientsAllowCARotation ClientsAllowTLSCacheGC ComponentFlagz ComponentStatusz
         ConcurrentWatchObjectDecode ConstrainedImpersonation ContainerCheckpoint ContainerRestartRules ContextualLogging
         DRAConsumableCapacity DRADeviceBindingConditions DRAPartitionableDevices DRAResourceClaimGranularStatusAuthorization
         DRASchedulerFilterTimeout DeclarativeValidationBeta DeploymentReplicaSetTerminatingReplicas DetectCacheInconsistency
         EnvFiles EtcdRangeStream ExcludeAdmissionWebhookVirtualResources ExtendWebSocketsToKubelet GracefulNodeShutdown
         GracefulNodeShutdownBasedOnPodPriority HPAGeneration HPAOptimizedSelectorStore HPAScaleToZero HugepageAwareEviction
         InOrderInformersBatchProcess InPlacePodLevelResourcesVerticalScaling KubeletCrashLoopBackOffMax
         KubeletEnsureSecretPulledImages KubeletInUserNamespace KubeletSeparateDiskGC
         KubeletServiceAccountTokenForCredentialProviders ListFromCacheSnapshot LoggingBetaOptions
         ManifestBasedAdmissionControlConfig MatchLabelKeysInPodTopologySpread MatchLabelKeysInPodTopologySpreadSelectorMerge
         MaxUnavailableStatefulSet MemoryQoS MutablePodResourcesForSuspendedJobs MutableSchedulingDirectivesForSuspendedJobs
         NFTablesNetlink NativeHistograms NodeControllerLeaseCircuitBreaker NominatedNodeNameForExpectation OpenAPIEnums
         OpportunisticBatching PersistentVolumeClaimUnusedSinceTime PodDeletionCost PodLevelResources
         PodLevelResourcesFixDefaulting PodLevelResourcesFixKubeletQOSClass PodTopologyLabelsAdmission PodsAPI
         PortForwardWebsockets ReloadKubeletClientCAFile ReloadKubeletServerCertificateFile RemoteRequestHeaderUID
         ResourceHealthStatus ResourceHealthStatusMessage RestartAllContainersOnContainerExits RotateKubeletServerCertificate
         SchedulerAsyncPreemption SchedulerPopFromBackoffQ ServiceAccountNodeAudienceRestriction SizeBasedListCostEstimate
         StaleControllerConsistencyDaemonSet StaleControllerConsistencyHPA StaleControllerConsistencyJob
         StaleControllerConsistencyReplicaSet StaleControllerConsistencyStatefulSet StatefulSetSemanticRevisionComparison
         StorageCapacityScoring StorageVersionHash StrictIPCIDRValidation StructuredAuthenticationConfigurationEgressSelector
         StructuredAuthenticationConfigurationJWKSMetrics TokenRequestServiceAccountUIDValidation
         TopologyManagerPolicyBetaOptions TranslateStreamCloseWebsocketRequests UnauthenticatedHTTP2DOSMitigation
         UnknownVersionInteroperabilityProxy UnlockWhileProcessingFIFO VolumeLimitScaling WatchList WatchListClient
         WatchListCompression WebhookRoundTripLoadBalancing WindowsGracefulNodeShutdown",
    ),
    (
        Stable,
        true,
        false,
        "AllowServiceExternalIPs ClusterTrustBundle ClusterTrustBundleProjection CustomCPUCFSQuotaPeriod DRADeviceTaintRules
         DRADeviceTaints InformerResourceVersion MutatingAdmissionPolicy PodCertificateRequest SELinuxMount
         StorageVersionMigrator",
    ),
    (
        Stable,
        true,
        true,
        "CPUManagerPolicyOptions CRDValidationRatcheting CSIServiceAccountTokenSecrets CustomResourceFieldSelectors
         DRAAdminAccess DRAExtendedResource DRAPrioritizedList DRAResourceClaimDeviceStatus DeclarativeValidation
         DisableAllocatorDualWrite DynamicResourceAllocation ExecProbeTimeout ExternalServiceAccountTokenSigner
         HPAConfigurableTolerance HostnameOverride ImageMaximumGCAge ImageVolume InOrderInformers InPlacePodVerticalScaling
         InPlacePodVerticalScalingInitContainers JobManagedBy KubeletCgroupDriverFromCRI KubeletFineGrainedAuthz KubeletPSI
         KubeletPodResourcesDynamicResources KubeletPodResourcesGet KubeletTracing MatchLabelKeysInPodAffinity
         MultiCIDRServiceAllocator MutableCSINodeAllocatableCount NFTablesProxyMode NodeDeclaredFeatures
         NodeInclusionPolicyInPodTopologySpread NodeLogQuery NodeSwap PLEGOnDemandRelist PodObservedGenerationTracking
         PodReadyToStartContainersCondition PodSchedulingReadiness PreferSameTrafficDistribution ProcMountType
         RecoverVolumeExpansionFailure RecursiveReadOnlyMounts RelaxedEnvironmentVariableValidation
         RelaxedServiceNameValidation SELinuxChangePolicy SELinuxMountReadWriteOncePod SeparateTaintEvictionController
         ServiceAccountTokenJTI ServiceAccountTokenNodeBinding ServiceAccountTokenNodeBindingValidation
         ServiceAccountTokenPodNodeInfo SupplementalGroupsPolicy SystemdWatchdog TopologyManagerPolicyOptions
         UserNamespacesSupport VolumeAttributesClass WatchCacheInitializationPostStartHook WinDSR WinOverlay",
    ),
    (
        Deprecated,
        false,
        false,
        "AllowDNSOnlyNodeCSR AllowInsecureKubeletCertificateSigningRequests ChangeContainerStatusOnKubeletRestart KMSv1
         KubeletRegistrationGetOnExistsOnly WindowsHostNetwork",
    ),
    (
        Deprecated,
        false,
        true,
        "AllowOverwriteTerminationGracePeriodSeconds DeclarativeValidationTakeover GitRepoVolumeDriver SeparateCacheWatchRPC",
    ),
    (Deprecated, true, false, "KubeProxyIPVS KubeletPodResourcesListUseActivePods ServiceCIDRStatusFieldWiping StorageNamespaceIndex"),
    (Deprecated, true, true, "AggregatedDiscoveryRemoveBetaType DisableCPUQuotaWithExclusiveCPUs DisableNodeKubeProxyVersion"),
];

/// What a gate can only be turned on with, as kube-scheduler 1.37.2 has it.
pub(super) const DEPENDENCIES: [&str; 58] = [
    "ClusterTrustBundleProjection: ClusterTrustBundle",
    "CompositePodGroup: GenericWorkload TopologyAwareWorkloadScheduling",
    "DRAAdminAccess: DynamicResourceAllocation",
    "DRAConsumableCapacity: DynamicResourceAllocation",
    "DRADerivedAttributes: DynamicResourceAllocation",
    "DRADeviceBindingConditions: DRAResourceClaimDeviceStatus DynamicResourceAllocation",
    "DRADeviceCompatibilityGroups: DRAPartitionableDevices DynamicResourceAllocation",
    "DRADeviceTaintRules: DRADeviceTaints",
    "DRADeviceTaints: DynamicResourceAllocation",
    "DRAExtendedResource: DynamicResourceAllocation",
    "DRAFractionalCapacityRange: DRAConsumableCapacity",
    "DRAListTypeAttributes: DynamicResourceAllocation",
    "DRANodeAllocatableResources: DynamicResourceAllocation",
    "DRAOptionalNodeOperations: DynamicResourceAllocation NodeDeclaredFeatures",
    "DRAPartitionableDevices: DynamicResourceAllocation",
    "DRAPartitionableDevicesType: DRAPartitionableDevices DRAResourcePoolStatus DynamicResourceAllocation",
    "DRAPrioritizedList: DynamicResourceAllocation",
    "DRAResourceClaimGranularStatusAuthorization: DRAResourceClaimDeviceStatus DynamicResourceAllocation",
    "DRAResourcePoolStatus: DynamicResourceAllocation",
    "DRASchedulerFilterTimeout: DynamicResourceAllocation",
    "DRAWorkloadResourceClaims: DynamicResourceAllocation GenericWorkload",
    "DeclarativeValidationBeta: DeclarativeValidation",
    "DeclarativeValidationTakeover: DeclarativeValidation",
    "DisableAllocatorDualWrite: MultiCIDRServiceAllocator",
    "EventedPLEG: PLEGOnDemandRelist",
    "ExtendWebSocketsToKubelet: NodeDeclaredFeatures",
    "GracefulNodeShutdownBasedOnPodPriority: GracefulNodeShutdown",
    "H2CContainerProbe: NodeDeclaredFeatures",
    "ImageVolumeWithDigest: ImageVolume",
    "InPlacePodLevelResourcesVerticalScaling: InPlacePodVerticalScaling NodeDeclaredFeatures PodLevelResources",
    "InPlacePodVerticalScalingExclusiveCPUs: InPlacePodVerticalScaling",
    "InPlacePodVerticalScalingExclusiveMemory: InPlacePodVerticalScaling",
    "InPlacePodVerticalScalingInitContainers: InPlacePodVerticalScaling NodeDeclaredFeatures",
    "InPlacePodVerticalScalingMemoryBackedVolumes: InPlacePodVerticalScaling NodeDeclaredFeatures",
    "InPlacePodVerticalScalingSchedulerPreemption: InPlacePodVerticalScaling",
    "KubeletAllocatedPodsEndpoint: InPlacePodVerticalScaling",
    "MatchLabelKeysInPodTopologySpreadSelectorMerge: MatchLabelKeysInPodTopologySpread",
    "NodeControllerLeaseCircuitBreaker: AtomicFIFO",
    "PodGroupPreemptionPolicy: GenericWorkload",
    "PodLevelResourceManagers: PodLevelResources",
    "PodLevelResourcesFixDefaulting: PodLevelResources",
    "PodLevelResourcesFixKubeletQOSClass: PodLevelResources",
    "ProcMountType: UserNamespacesSupport",
    "ResourceHealthStatus: DynamicResourceAllocation",
    "ResourceHealthStatusMessage: ResourceHealthStatus",
    "RestartAllContainersOnContainerExits: ContainerRestartRules NodeDeclaredFeatures",
    "ServiceAccountTokenNodeBinding: ServiceAccountTokenNodeBindingValidation",
    "StaleControllerConsistencyDaemonSet: AtomicFIFO",
    "StaleControllerConsistencyHPA: AtomicFIFO",
    "StaleControllerConsistencyJob: AtomicFIFO",
    "StaleControllerConsistencyReplicaSet: AtomicFIFO",
    "StaleControllerConsistencyStatefulSet: AtomicFIFO",
    "StorageVersionAPI: APIServerIdentity",
    "TopologyAwareWorkloadScheduling: GenericWorkload",
    "UnknownVersionInteroperabilityProxy: APIServerIdentity",
    "UserNamespacesHostNetworkSupport: NodeDeclaredFeatures UserNamespacesSupport",
    "WindowsGracefulNodeShutdown: GracefulNodeShutdown",
    "WorkloadWithJob: GenericWorkload",
];
